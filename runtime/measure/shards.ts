// What shards of a layer would select and send, by exact scores: each the best of its own.

import { type ShardRows, shardChoices, shardOf } from "../shard-rows.ts";
import { addGroups, type ExactLayer, squaresOf, tokenOf } from "./exact.ts";
import { bestOf } from "./ranks.ts";

export interface ShardedSelection {
  /** Per token, the share of the `selected` best that survive when every shard keeps its best `keep`. */
  recall(selected: number, keep: number): Float64Array;
  /** Per token, 1 where some shard that sends its best `sent` rows would have to send more. */
  resends(sent: number): Float64Array;
  /**
   * Of a feed-forward whose shards each compute their best `keep` groups: by how much the output differs from that of the exact k best,
   * relative to it, and by how much because of groups that are missed. Per token, NaN where errors are not measured.
   */
  errors(keep: number): { readonly error: Float64Array; readonly missed: Float64Array };
}

/** @param most no more choices are asked for by `recall`. */
export function selectOverShards(exact: ExactLayer, spread: Omit<ShardRows, "index">, most: number): ShardedSelection {
  const { tokens, scores, choices, common, best, plan, neurons } = exact;
  const owner = (choice: number) => shardOf(choice, choices, spread);
  const ranked = (token: number, count: number) => bestOf(tokenOf(scores, token, choices), count, common);
  const places = Array.from({ length: tokens }, (_, token) => placesOf(ranked(token, most), owner, spread.count));
  const rowsOf = Array.from({ length: spread.count }, (_, index) => shardChoices(choices, { ...spread, index }));
  const isMeasured = (token: number) => neurons !== undefined && !Number.isNaN(neurons.squares[token]!);
  const ordered = Array.from({ length: tokens }, (_, token) => {
    if (!isMeasured(token)) return undefined;
    const all = ranked(token, choices);
    return { all, own: placesOf(all, owner, spread.count) };
  });
  const perToken = (value: (token: number) => number) => Float64Array.from({ length: tokens }, (_, t) => value(t));
  return {
    recall: (selected, keep) =>
      perToken((token) => {
        const own = places[token]!.subarray(0, selected);
        return own.filter((place) => place < keep).length / own.length;
      }),
    resends: (sent) =>
      perToken((token) => {
        const mayHaveMore = (row: number) => Math.min(plan.k, rowsOf[owner(row)]!) > sent;
        // Whoever has as many of the k best as it sends does not know that it has no more.
        return Number(best[token]!.some((row, rank) => places[token]![rank]! === sent - 1 && mayHaveMore(row)));
      }),
    errors: (keep) => {
      const [error, missed] = [perToken(() => Number.NaN), perToken(() => Number.NaN)];
      if (plan.kind !== "ffn" || !neurons) return { error, missed };
      for (let token = 0; token < tokens; token++) {
        const ranks = ordered[token];
        if (!ranks) continue;
        const { all, own } = ranks;
        const squares = neurons.squares[token]!;
        const isKept = (_: number, rank: number) => own[rank]! < keep;
        const lost = all.subarray(0, plan.k).filter((group, rank) => !isKept(group, rank));
        const more = all.filter((group, rank) => rank >= plan.k && isKept(group, rank));
        const difference = new Float64Array(plan.outputs);
        const relative = () => (squares === 0 ? 0 : Math.sqrt(squaresOf(difference) / squares));
        addGroups(plan, neurons, token, lost, -1, difference);
        missed[token] = relative();
        addGroups(plan, neurons, token, more, 1, difference);
        error[token] = relative();
      }
      return { error, missed };
    },
  };
}

/** Of choices, best first: how many better ones lie on the same shard. */
function placesOf(ranked: Uint32Array, owner: (choice: number) => number, count: number): Uint32Array {
  const held = new Uint32Array(count);
  return ranked.map((choice) => held[owner(choice)]!++);
}
