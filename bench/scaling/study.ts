// The study: closed forms, the model of networks, and placements that are played out, for every number of shards.

import { expectedRecall, smallestKeep } from "../../compiler/recall.ts";
import { resendOdds, smallestSent } from "../../compiler/shard-odds.ts";
import { mulberry32 } from "../../test/cases/random.ts";
import {
  doubling,
  type Head,
  type HeadExchange,
  headExchange,
  logitBytes,
  mergingTree,
  ring,
  ringAllReduce,
  type Steps,
  totalBytes,
} from "./exchange.ts";
import { flatTime, NETWORKS, type Network, treeTime } from "./networks.ts";
import { type Holdings, holdings, keptBy, uniformRows, zipfRows } from "./placement.ts";
import { type Chosen, chosenByTinyLm } from "./tiny-lm.ts";

export interface Settings {
  readonly shards: readonly number[];
  /** Tokens of each simulation. */
  readonly trials: number;
  /** Positions of held-out text that tiny-lm is asked for. */
  readonly positions: number;
}

/** Odds of a second round that the number of sent rows is chosen for. */
export const RESEND = 0.001;
/** Higher odds, which can be told from luck in a few thousand trials. */
const VISIBLE_RESEND = 0.1;
const SLACK = 1.5;
const SEED = 20_240_214;

/** Of each head. */
export const KS = [16, 64, 128];
export const HEADS: readonly Head[] = [32_000, 128_256, 256_000].flatMap((rows) => KS.map((k) => ({ rows, k })));
/** The head that is shown in full. */
export const MAIN: Head = { rows: 256_000, k: 64 };
const BATCHES = [1, 32];

/** Feed-forwards of Gemma 2 2B's width: single neurons, and groups of 8, of which 5 % are kept. */
const FFNS = [
  { rows: 16_384, k: 819, outputs: 2048 },
  { rows: 2048, k: 102, outputs: 2048 },
];
const SLACKS = [1, 1.25, 1.5, 2];

export interface Results {
  readonly settings: Settings;
  readonly heads: readonly HeadResult[];
  readonly crossovers: readonly Crossover[];
  readonly placements: readonly Placement[];
  readonly curve: readonly CurvePoint[];
  readonly tinyLm: readonly Measured[];
  readonly ffns: readonly FfnResult[];
}

export interface HeadResult extends HeadExchange {
  /** Share of the k best that a single round finds. */
  readonly recall: number;
  /** Expected bytes that a shard receives for a token, and as many that it sends. */
  readonly bytes: { readonly flat: number; readonly tree: number; readonly f32: number; readonly bf16: number };
  /** Messages that a shard sends in a round. */
  readonly messages: { readonly ring: number; readonly doubling: number };
  /** Expected µs for one token, per network. */
  readonly times: Readonly<Record<string, Times>>;
}

export interface Times {
  /** All logits in bf16, by the faster of ring and doubling. */
  readonly logits: number;
  readonly ring: number;
  readonly doubling: number;
  readonly tree: number;
}

/** The smallest numbers of shards of the study from which the tree takes less time, by k; 0 for none. */
export interface Crossover {
  readonly network: string;
  readonly tokens: number;
  readonly ring: readonly number[];
  readonly doubling: readonly number[];
}

/** Something predicted, and the same as simulated or measured. */
export interface Placement {
  readonly shards: number;
  readonly sent: number;
  readonly keep: number;
  readonly resends: ByPlacement;
  readonly recall: ByPlacement;
}

interface ByPlacement {
  readonly predicted: number;
  readonly uniform: number;
  readonly interleaved: number;
  readonly contiguous: number;
}

export interface CurvePoint extends ByPlacement {
  readonly sent: number;
}

export interface Measured {
  readonly layer: string;
  readonly rows: number;
  readonly k: number;
  readonly shards: number;
  readonly sent: number;
  readonly keep: number;
  readonly resends: Omit<ByPlacement, "uniform">;
  readonly recall: Omit<ByPlacement, "uniform">;
}

export interface FfnResult {
  readonly rows: number;
  readonly k: number;
  readonly shards: number;
  /** Bytes that a shard receives for a token: of the all-reduce of the outputs, and those that an exact choice would add. */
  readonly reduced: number;
  readonly scores: number;
  readonly messages: number;
  /** Expected and simulated recall of the k best, by slack. */
  readonly recall: readonly { readonly slack: number; readonly predicted: number; readonly simulated: number }[];
  /** The smallest slack for an expected recall of 0.99. */
  readonly slack: number;
}

export async function scalingStudy(settings: Settings): Promise<Results> {
  const many = settings.shards.filter((shards) => shards > 1);
  const heads = HEADS.flatMap((head) => settings.shards.map((shards) => headResult(head, shards)));
  const chosen = await chosenByTinyLm(settings.positions);
  return {
    settings,
    heads,
    crossovers: NETWORKS.flatMap((network) => BATCHES.map((tokens) => crossover(network, tokens, settings.shards))),
    ...placements(settings, many),
    tinyLm: chosen.flatMap((layer) => [2, 4, 8, 16].map((shards) => measured(layer, shards))),
    ffns: FFNS.flatMap((ffn) => many.map((shards) => ffnResult(ffn, shards, settings.trials))),
  };
}

function headResult(head: Head, shards: number): HeadResult {
  const exchange = headExchange(head, shards, RESEND);
  const { first, second, odds, sent } = exchange;
  const expected = (steps: (bytes: number) => Steps) => totalBytes(steps(first)) + odds * totalBytes(steps(second));
  const logits = (bytes: number) => totalBytes(ring(shards, logitBytes(head, shards, bytes)));
  return {
    ...exchange,
    recall: shards === 1 ? 1 : expectedRecall({ rows: head.rows, count: shards }, head.k, sent),
    bytes: {
      flat: expected((bytes) => ring(shards, bytes)),
      tree: expected((bytes) => mergingTree(shards, bytes, second)),
      f32: logits(4),
      bf16: logits(2),
    },
    messages: { ring: ring(shards, first).length, doubling: doubling(shards, first).length },
    times: Object.fromEntries(NETWORKS.map((network) => [network.name, times(network, exchange, 1)])),
  };
}

/** Expected times when so many tokens are decoded at once. */
function times(network: Network, exchange: HeadExchange, tokens: number): Times {
  const { shards, first, second, odds } = exchange;
  // One token that has to be asked about again makes the round; the others do not take part in it.
  const oddsOfRound = 1 - (1 - odds) ** tokens;
  const asked = oddsOfRound === 0 ? 0 : (tokens * odds) / oddsOfRound;
  const both = (time: (bytes: number) => number) => time(first * tokens) + oddsOfRound * time(second * asked);
  const logits = logitBytes(exchange, shards, 2) * tokens;
  return {
    logits: Math.min(flatTime(network, ring(shards, logits)), flatTime(network, doubling(shards, logits))),
    ring: both((bytes) => flatTime(network, ring(shards, bytes))),
    doubling: both((bytes) => flatTime(network, doubling(shards, bytes))),
    tree:
      treeTime(network, mergingTree(shards, first * tokens, second * tokens)) +
      oddsOfRound * treeTime(network, mergingTree(shards, second * asked, second * asked)),
  };
}

function crossover(network: Network, tokens: number, counts: readonly number[]): Crossover {
  const from = (flat: "ring" | "doubling") =>
    KS.map((k) => {
      const wins = (shards: number) => {
        const all = times(network, headExchange({ rows: MAIN.rows, k }, shards, RESEND), tokens);
        return all.tree < all[flat];
      };
      return counts.find(wins) ?? 0;
    });
  return { network: network.name, tokens, ring: from("ring"), doubling: from("doubling") };
}

/** Best rows at random, and by Zipf's law, on shards that are interleaved or ranges. */
function placements({ trials }: Settings, counts: readonly number[]): Pick<Results, "placements" | "curve"> {
  const { rows, k } = MAIN;
  const random = mulberry32(SEED);
  const [uniform, zipf] = [uniformRows(random, rows, k), zipfRows(random, rows, k)].map((draw) =>
    Array.from({ length: trials }, draw),
  );
  const of = (shards: number) => ({
    uniform: holdings(uniform!, rows, shards, "interleaved"),
    interleaved: holdings(zipf!, rows, shards, "interleaved"),
    contiguous: holdings(zipf!, rows, shards, "contiguous"),
  });
  const each = (held: ReturnType<typeof of>, predicted: number, value: (held: Holdings) => number): ByPlacement => ({
    predicted,
    uniform: value(held.uniform),
    interleaved: value(held.interleaved),
    contiguous: value(held.contiguous),
  });
  const curveShards = 8;
  const held = of(curveShards);
  return {
    placements: counts.map((shards) => {
      const spread = { rows, count: shards };
      const sent = smallestSent(spread, k, VISIBLE_RESEND);
      const keep = keptBy({ shards, slack: SLACK }, k);
      const held = of(shards);
      return {
        ...{ shards, sent, keep },
        resends: each(held, resendOdds(spread, k, sent), (layout) => layout.resends(sent)),
        recall: each(held, expectedRecall(spread, k, keep), (layout) => layout.recall(keep)),
      };
    }),
    curve: Array.from({ length: k }, (_, i) => i + 1).map((sent) => ({
      sent,
      ...each(held, resendOdds({ rows, count: curveShards }, k, sent), (layout) => layout.resends(sent)),
    })),
  };
}

function measured({ layer, rows, k, tokens }: Chosen, shards: number): Measured {
  const spread = { rows, count: shards };
  const sent = smallestSent(spread, k, VISIBLE_RESEND);
  const keep = keptBy({ shards, slack: SLACK }, k);
  const interleaved = holdings(tokens, rows, shards, "interleaved");
  const contiguous = holdings(tokens, rows, shards, "contiguous");
  const both = (predicted: number, value: (held: Holdings) => number) => ({
    ...{ predicted, interleaved: value(interleaved), contiguous: value(contiguous) },
  });
  return {
    ...{ layer, rows, k, shards, sent, keep },
    resends: both(resendOdds(spread, k, sent), (held) => held.resends(sent)),
    recall: both(expectedRecall(spread, k, keep), (held) => held.recall(keep)),
  };
}

function ffnResult({ rows, k, outputs }: (typeof FFNS)[number], shards: number, trials: number): FfnResult {
  const spread = { rows, count: shards };
  const random = mulberry32(SEED + shards);
  const draw = uniformRows(random, rows, k);
  const held = holdings(Array.from({ length: Math.ceil(trials / 10) }, draw), rows, shards, "interleaved");
  const reduce = ringAllReduce(shards, 4 * outputs);
  return {
    ...{ rows, k, shards },
    reduced: totalBytes(reduce),
    scores: totalBytes(ring(shards, logitBytes({ rows, k }, shards, 4))),
    messages: reduce.length,
    recall: SLACKS.map((slack) => {
      const keep = keptBy({ shards, slack }, k);
      return { slack, predicted: expectedRecall(spread, k, keep), simulated: held.recall(keep) };
    }),
    slack: (smallestKeep(spread, k, 0.99) * shards) / k,
  };
}
