// Who is chosen: the best choices of each shard, and of them those that are kept. One device is one shard.

import { type ExactLayer, tokenOf } from "../../runtime/measure/exact.ts";
import { bestOf } from "../../runtime/measure/ranks.ts";
import { globalRow, shardChoices } from "../../runtime/shard-rows.ts";
import type { Spread } from "./settings.ts";

export interface Selection {
  readonly shards: number;
  readonly layout: Spread["layout"];
  /** Of each shard: how many are recomputed, and how many of those are kept. */
  readonly candidates: number;
  readonly keep: number;
}

/** The best `count` choices of each shard, best first. */
function rankShards(
  scores: Float32Array,
  { shards, layout }: Pick<Selection, "shards" | "layout">,
  count: number,
): Uint32Array[] {
  const all = scores.length;
  return Array.from({ length: shards }, (_, index) => {
    const spread = { count: shards, layout, index };
    const own = new Float32Array(shardChoices(all, spread));
    for (let i = 0; i < own.length; i++) own[i] = scores[globalRow(i, all, spread)]!;
    return bestOf(own, count).map((i) => globalRow(i, all, spread));
  });
}

/**
 * What each selection takes of a token's choices, by the scores that it selects by.
 * @param order the scores of a token, `[choices]`.
 * @returns selection by selection, token by token.
 */
export function choose(
  exact: ExactLayer,
  order: (token: number) => Float32Array,
  selections: readonly Selection[],
): Uint32Array[][] {
  const chosen = selections.map((): Uint32Array[] => []);
  // Selections over the same shards share a ranking.
  const spreads = new Map<string, number[]>();
  selections.forEach(({ shards, layout }, i) => {
    const key = `${shards} ${layout}`;
    spreads.set(key, [...(spreads.get(key) ?? []), i]);
  });
  for (let token = 0; token < exact.tokens; token++) {
    const scores = order(token);
    const exactScores = tokenOf(exact.scores, token, exact.choices);
    for (const members of spreads.values()) {
      const most = Math.max(...members.map((i) => selections[i]!.candidates));
      const ranked = rankShards(scores, selections[members[0]!]!, most);
      for (const i of members) {
        const { candidates, keep } = selections[i]!;
        chosen[i]!.push(
          Uint32Array.from(ranked.flatMap((best) => [...bestAmong(best.subarray(0, candidates), exactScores, keep)])),
        );
      }
    }
  }
  return chosen;
}

/** The `count` best of some choices by their scores, best first. */
export function bestAmong(choices: Uint32Array, scores: Float32Array, count: number): Uint32Array {
  // Ties go to the lower choice.
  const own = choices.slice().sort();
  return bestOf(
    Float32Array.from(own, (choice) => scores[choice]!),
    count,
  ).map((i) => own[i]!);
}
