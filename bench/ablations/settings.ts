// What is measured of a layer: each half of the method alone, both together, and what others do instead.

import type { CheckedEstimator } from "../../compiler/model.ts";
import type { ShardRows } from "../../runtime/shard-rows.ts";
import { choicesOf, type StudyLayer } from "./layer.ts";

export type Setting =
  /** The best `candidates` of one device, by a cheap copy, are recomputed exactly. */
  | { readonly method: "compression"; readonly estimator: CheckedEstimator; readonly candidates: number }
  /** Every shard keeps its best by exact scores. */
  | { readonly method: "distributed"; readonly spread: Spread }
  /** Every shard keeps its best by a cheap copy and recomputes them. */
  | { readonly method: "both"; readonly estimator: CheckedEstimator; readonly spread: Spread }
  /** The k best by the codes, with the values that the codes give: nothing is recomputed. */
  | { readonly method: "codes"; readonly estimator: CheckedEstimator }
  /** Inputs below a threshold of magnitude count as 0, and their columns are not read (the idea of TEAL). */
  | { readonly method: "inputs"; readonly share: number }
  /** Gates are exact; neurons below a threshold of magnitude are not computed further (the idea of CATS). */
  | { readonly method: "gates"; readonly share: number }
  /** Only the most frequent choices are scored, exactly. */
  | { readonly method: "shortlist"; readonly by: string; readonly share: number };

export interface Spread {
  readonly shards: number;
  readonly layout: ShardRows["layout"];
  /** How many times its fair share of k a shard keeps. */
  readonly slack: number;
}

/** What is varied. */
export interface Grid {
  readonly estimators: readonly CheckedEstimator[];
  /** Candidates in multiples of k. */
  readonly candidates: readonly number[];
  readonly shards: readonly number[];
  readonly slacks: readonly number[];
  /** The estimators that are combined with shards, their numbers, and slacks. */
  readonly combined: {
    readonly estimators: readonly CheckedEstimator[];
    readonly shards: readonly number[];
    readonly slacks: readonly number[];
  };
  /** Shares of the inputs, of the chosen neurons and of the choices that competitors read. */
  readonly inputs: readonly number[];
  readonly gates: readonly number[];
  readonly shortlists: readonly number[];
}

/** Inputs that share a scale: of every copy here. */
const GROUP = 64;

export function codes(bits: 2 | 3 | 4 | 5 | 6 | 8): CheckedEstimator {
  return { kind: "quantized", bits, group: GROUP, activations: "int8" };
}

export function factors(rank: number, basis: "weights" | "activations"): CheckedEstimator {
  return { kind: "lowRank", rank, bits: 8, basis, activations: "int8" };
}

function spreads(shards: readonly number[], slacks: readonly number[]): Spread[] {
  return (["interleaved", "contiguous"] as const).flatMap((layout) =>
    shards.flatMap((count) => slacks.map((slack): Spread => ({ shards: count, layout, slack }))),
  );
}

/** All settings of a grid. */
export function settingsOf({ layer, orders }: StudyLayer, grid: Grid): Setting[] {
  const counts = [...new Set(grid.candidates.map((times) => Math.min(choicesOf(layer), Math.ceil(times * layer.k))))];
  const { estimators, combined } = grid;
  const together = spreads(combined.shards, combined.slacks);
  const apart = [...spreads(grid.shards, grid.slacks), ...together];
  const different = [...new Map(apart.map((spread) => [keyOf(spread), spread])).values()];
  return [
    ...estimators.flatMap((estimator) =>
      counts.map((candidates) => ({ method: "compression", estimator, candidates }) as const),
    ),
    ...different.map((spread) => ({ method: "distributed", spread }) as const),
    ...combined.estimators.flatMap((estimator) =>
      together.map((spread) => ({ method: "both", estimator, spread }) as const),
    ),
    ...estimators
      .filter(({ kind }) => kind === "quantized")
      .map((estimator) => ({ method: "codes", estimator }) as const),
    ...grid.inputs.map((share) => ({ method: "inputs", share }) as const),
    ...(layer.kind === "ffn" ? grid.gates : []).map((share) => ({ method: "gates", share }) as const),
    ...orders.flatMap(({ by }) => grid.shortlists.map((share) => ({ method: "shortlist", by, share }) as const)),
  ];
}

/** A share as a fraction, or in per cent. */
export function shareName(share: number): string {
  return share < 0.5 && Number.isInteger(1 / share) && share !== 0.1 ? `1/${1 / share}` : `${share * 100} %`;
}

/** Equal for equal settings. */
export function keyOf(value: object): string {
  return JSON.stringify(value);
}
