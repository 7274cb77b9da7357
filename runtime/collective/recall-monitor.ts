// Which share of the best groups the shards of a feed-forward find together, measured while it runs. Of some tokens each shard tells the
// exact keys of its best candidates, those that it computed among them: kernels leave them in memory anyway. All ranks rank the same keys,
// so all know the same. What is no candidate of its shard is known by its estimate alone, and is not seen here.

import { HireError } from "../errors.ts";
import { NO_ROW } from "../layer.ts";
import type { FfnPlan, LayerProgram, Plan } from "../plan.ts";
import { globalRow } from "../shard-rows.ts";
import type { Collective } from "./collective.ts";
import { emptyPairs, PAIR_WORDS } from "./pairs.ts";

export interface MonitorOptions {
  /** The first token that a layer runs is measured, and then every so many-th. */
  readonly every: number;
}

/**
 * Recall of the tokens measured so far: the share of the k best candidates of all shards, by their exact scores, that was computed. It
 * is what the split costs; that of the exact k best groups is lower by what estimates hide, which `hirec evaluate` measures.
 */
export interface MeasuredRecall {
  readonly tokens: number;
  /** Over tokens; NaN before the first. */
  readonly mean: number;
  readonly worst: number;
  /**
   * Tokens of which some shard has the last of its candidates among the k best, and others besides that are none: what those might have
   * displaced is not known. With `dense()` a shard has no candidates but those that it computes.
   */
  readonly open: number;
  /** The mean when everything may have been displaced that comes behind such a candidate. */
  readonly atLeast: number;
}

export interface RecallMonitor {
  /** Which of the next so many tokens are measured; to be called once per run, before anything is waited for. */
  sample(tokens: number): number[];
  /**
   * Exchanges and counts; every rank calls it with the same tokens.
   * @param chosen keys and groups of this shard's candidates, `[tokens, candidates]`; absent where it has none.
   */
  measure(sampled: readonly number[], chosen: ArrayBuffer | undefined): Promise<void>;
  readonly recall: MeasuredRecall;
}

/** @throws HireError HIRE-RUN-024 for a step that is no whole number, and when none of the layers can be monitored. */
export function checkMonitor({ layers }: Plan, names: readonly string[], { every }: MonitorOptions): void {
  if (!Number.isSafeInteger(every) || every < 1) {
    throw new HireError({
      code: "HIRE-RUN-024",
      message: `Recall cannot be measured on every ${every}-th token`,
      fix: "Use a whole number from 1 on, such as 64",
    });
  }
  if (names.some((name) => layers[name]?.kind === "ffn" && layers[name].sharding)) return;
  throw new HireError({
    code: "HIRE-RUN-024",
    message: `Recall over shards cannot be measured: none of ${names.map((name) => `"${name}"`).join(", ")} is a feed-forward over shards`,
    fix: "Run a feed-forward whose spec has shards, or do without the monitor; `hirec evaluate` measures recall of any layer",
  });
}

/** The same kernels, after which the candidates can be read: each with its exact key, whatever becomes of it. */
export function withCandidates(program: LayerProgram): LayerProgram {
  const buffers = program.buffers.map((buffer) =>
    buffer.name === "chosen" ? ({ ...buffer, role: "output" } as const) : buffer,
  );
  return { ...program, buffers };
}

/** @param shards every shard's part of the layer, absent of those that have no groups. */
export function createMonitor(
  name: string,
  plan: FfnPlan,
  shards: readonly (FfnPlan | undefined)[],
  collective: Collective,
  { every }: MonitorOptions,
): RecallMonitor {
  const places = Math.max(...shards.map((own) => (own ? Math.min(plan.k, own.candidates) : 0)));
  let seen = 0;
  let [tokens, sum, worst, open, least] = [0, 0, 1, 0, 0];
  return {
    sample: (count) => {
      const first = (every - (seen % every)) % every;
      seen += count;
      return Array.from({ length: Math.max(0, Math.ceil((count - first) / every)) }, (_, i) => first + i * every);
    },
    measure: async (sampled, chosen) => {
      if (sampled.length === 0) return;
      const own = shards[collective.rank];
      const { words } = emptyPairs(sampled.length, places);
      if (own && chosen) {
        const all = new Uint32Array(chosen);
        sampled.forEach((token, i) => {
          const some = all.subarray(token * own.candidates * PAIR_WORDS, (token + 1) * own.candidates * PAIR_WORDS);
          const offered = offerOf(some, own, collective.rank, plan.group.common).slice(0, places);
          words.set(
            offered.flatMap(({ key, group }) => [key, group]),
            i * places * PAIR_WORDS,
          );
        });
      }
      const given = new Uint8Array(words.buffer);
      const bytes = await collective.allGather(given, `measuring the recall of layer "${name}"`);
      const gathered = new Uint32Array(bytes.slice().buffer);
      sampled.forEach((_, i) => {
        const offers = shards.map((own, shard): Offer => {
          const from = (shard * sampled.length + i) * places * PAIR_WORDS;
          const pairs = pairsOf(gathered.subarray(from, from + places * PAIR_WORDS));
          const selectable = own ? own.group.count - own.group.common : 0;
          const mayHaveMore = own !== undefined && own.candidates < selectable && pairs.length === own.candidates;
          return { pairs, computed: own?.k ?? 0, mayHaveMore };
        });
        const { recall, atLeast } = recallOf(offers, Math.min(plan.k, plan.group.count - plan.group.common));
        tokens++;
        sum += recall;
        least += atLeast;
        worst = Math.min(worst, recall);
        if (atLeast < recall) open++;
      });
    },
    get recall() {
      return { tokens, mean: sum / tokens, worst: tokens === 0 ? Number.NaN : worst, open, atLeast: least / tokens };
    },
  };
}

interface Pair {
  readonly key: number;
  readonly group: number;
}

/** What one shard tells of a token. */
export interface Offer {
  /** The best of its candidates, best first. */
  readonly pairs: readonly Pair[];
  /** It computed the first so many. */
  readonly computed: number;
  /** Whether these are all its candidates, and it has groups that are none. */
  readonly mayHaveMore: boolean;
}

/** @param k how many of the groups of all shards are wanted. */
export function recallOf(offers: readonly Offer[], k: number): { readonly recall: number; readonly atLeast: number } {
  const all = offers.flatMap(({ pairs, computed }, shard) =>
    pairs.map((pair, place) => ({
      ...pair,
      shard,
      isComputed: place < computed,
      isLast: place === pairs.length - 1,
    })),
  );
  const best = all.sort(byRank).slice(0, k);
  // Behind a shard's last candidate any of its other groups may come.
  const end = best.findIndex(({ shard, isLast }) => isLast && offers[shard]!.mayHaveMore);
  const certain = end < 0 ? best : best.slice(0, end + 1);
  // Where selection left fewer candidates than are wanted, these are all that there are.
  const wanted = end < 0 ? best.length : k;
  const share = (pairs: typeof best) =>
    wanted === 0 ? 1 : pairs.filter(({ isComputed }) => isComputed).length / wanted;
  return { recall: share(best), atLeast: share(certain) };
}

/** A shard's candidates with their numbers among all, best first; one that has only common groups computes one of them, which does not count. */
function offerOf(chosen: Uint32Array, { shard }: FfnPlan, rank: number, common: number): Pair[] {
  const { choices } = shard!;
  return pairsOf(chosen)
    .map(({ key, group }) => ({ key, group: globalRow(group, choices, { ...shard!, index: rank }) }))
    .filter(({ group }) => group >= common)
    .sort(byRank);
}

function pairsOf(words: Uint32Array): Pair[] {
  const pairs: Pair[] = [];
  for (let at = 0; at < words.length; at += PAIR_WORDS) {
    if (words[at + 1] !== NO_ROW) pairs.push({ key: words[at]!, group: words[at + 1]! });
  }
  return pairs;
}

/** As kernels rank: by key, equal keys by group. */
function byRank(a: Pair, b: Pair): number {
  return b.key - a.key || a.group - b.group;
}
