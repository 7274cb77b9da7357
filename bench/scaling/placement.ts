// Where the best rows lie, played out: how many of them each shard holds, trial by trial.

import { type ShardRows, shardOf } from "../../runtime/shard-rows.ts";
import { permutation, type Random } from "../../test/cases/random.ts";

/** The best rows of one token. */
export type Draw = () => readonly number[];

/** All rows are equally likely to be among the best. */
export function uniformRows(random: Random, rows: number, k: number): Draw {
  // Drawing from a few of many by trying again is quick, and from most of few is not.
  if (k * 4 > rows) return () => permutation(random, rows).slice(0, k);
  return () => distinct(k, () => Math.floor(random() * rows));
}

/** Rows sorted by frequency, each drawn with odds that fall as 1 / (1 + row), as Zipf's law has it. */
export function zipfRows(random: Random, rows: number, k: number): Draw {
  const sums = new Float64Array(rows);
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    sum += 1 / (1 + row);
    sums[row] = sum;
  }
  return () => distinct(k, () => firstAbove(sums, random() * sum));
}

/** What a shard keeps of the k best: its fair share, with slack. */
export function keptBy({ shards, slack }: { readonly shards: number; readonly slack: number }, k: number): number {
  return Math.ceil((slack * k) / shards);
}

/** What shards held of the best rows, over many tokens. */
export interface Holdings {
  /** Share of tokens of which some shard holds `sent` or more of the k best, and so has to send again. */
  resends(sent: number): number;
  /** Mean share of the k best that survives when every shard keeps `keep`. */
  recall(keep: number): number;
}

export function holdings(
  tokens: Iterable<readonly number[]>,
  rows: number,
  count: number,
  layout: ShardRows["layout"],
): Holdings {
  const each = Math.ceil(rows / count);
  const held: Uint32Array[] = [];
  let k = 0;
  for (const best of tokens) {
    k = best.length;
    const counts = new Uint32Array(count);
    for (const row of best) counts[shardOf(row, rows, { count, layout })]! += 1;
    held.push(counts);
  }
  const most = held.map((counts) => counts.reduce((a, b) => Math.max(a, b)));
  const survivors = (counts: Uint32Array, keep: number) =>
    counts.reduce((sum, count) => sum + Math.min(count, keep), 0);
  return {
    // A shard has to have more than it sent, and nobody asks for more than k.
    resends: (sent) => (sent >= Math.min(k, each) ? 0 : share(most, (count) => count >= sent)),
    recall: (keep) => held.reduce((sum, counts) => sum + survivors(counts, keep), 0) / (k * held.length),
  };
}

function share(values: readonly number[], holds: (value: number) => boolean): number {
  return values.filter(holds).length / values.length;
}

function distinct(count: number, draw: () => number): number[] {
  const drawn = new Set<number>();
  while (drawn.size < count) drawn.add(draw());
  return [...drawn];
}

function firstAbove(sums: Float64Array, value: number): number {
  let [low, high] = [0, sums.length - 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (sums[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
