// The settings that are tried: estimators, and for each of them candidates and selectors.

import type { CheckedEstimator, CheckedLayer, CheckedSelector } from "../model.ts";
import { selectedBy, spread } from "../spread.ts";
import type { Setting } from "./result.ts";

/** What is varied, each list in the order in which it is tried. */
export interface Grid {
  readonly bits: readonly QuantizedBits[];
  readonly group: readonly QuantizedGroup[];
  readonly rank: readonly number[];
  readonly rankBits: readonly (4 | 8 | 16)[];
  readonly basis: readonly ("weights" | "activations")[];
  readonly candidates: readonly number[];
  /** Recall of the two-stage selector; 1 is `exact()`. */
  readonly select: readonly number[];
  /** Of a layer over shards: how many times its fair share a shard selects. */
  readonly slack: readonly number[];
}

type Quantized = Extract<CheckedEstimator, { kind: "quantized" }>;
export type QuantizedBits = Quantized["bits"];
export type QuantizedGroup = Quantized["group"];

/** How many times k the candidates of an output head are, and those of a feed-forward. */
const TIMES_K = { softmax: [1, 1.5, 2, 3, 4, 6, 8, 12, 16], ffn: [1, 1.125, 1.25, 1.5, 1.75, 2, 2.5, 3] } as const;

/** How many times its fair share a shard selects; with as many times as there are shards, nothing can be lost. */
const SLACKS = [1, 1.125, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 6, 8, 12, 16, 32, 64, 128, 256, 512];

/** Shares of the inputs that ranks are. */
const RANKS = [1 / 16, 1 / 8, 3 / 16, 1 / 4];

/** Beyond so many inputs, the decomposition that a basis comes from takes minutes: ranks are then tried when they are named. */
const MOST_INPUTS_OF_RANKS = 1024;

/** A rank's factors are scored in steps of 32 codes. */
const RANK_STEP = 32;

/** @param given replaces lists. */
export function gridOf(layer: CheckedLayer, given: Partial<Grid> = {}): Grid {
  const { inputs, k, certify } = layer;
  const choices = choicesOf(layer);
  const shares = inputs <= MOST_INPUTS_OF_RANKS ? RANKS : [];
  const multiples = [
    ...new Set(shares.map((share) => RANK_STEP * Math.max(1, Math.round((share * inputs) / RANK_STEP)))),
  ];
  // Bounds of low rank are too wide to prove anything.
  const rank = certify === "off" ? (given.rank ?? multiples) : [];
  const counts = TIMES_K[layer.kind].map((times) => Math.ceil(times * k));
  const candidates = [...(given.candidates ?? counts), ...(layer.estimator.kind === "dense" ? [] : [layer.candidates])];
  return {
    bits: given.bits ?? [2, 3, 4, 5, 6, 8],
    // Of a row that is narrower, a group is padding.
    group: given.group ?? ([32, 64, 128] as const).filter((group) => group <= Math.max(32, inputs)),
    rank: rank.filter((each) => each <= Math.min(inputs, layer.rows)),
    rankBits: given.rankBits ?? [4, 8],
    basis: given.basis ?? ["weights", "activations"],
    candidates: [...new Set(candidates)].filter((count) => count >= k && count <= choices).sort((a, b) => a - b),
    select: given.select ?? [0.9, 0.95, 0.99, 0.999, 1],
    slack: layer.shards ? (given.slack ?? defaultSlacks(layer.shards.count)) : [],
  };
}

function defaultSlacks(count: number): readonly number[] {
  return [...SLACKS.filter((slack) => slack < count), count];
}

/** The estimators of a grid, and that of the spec where it is not among them. */
export function estimatorsOf(grid: Grid, { estimator }: CheckedLayer): CheckedEstimator[] {
  const quantized = grid.bits.flatMap((bits) =>
    grid.group.map((group) => ({ kind: "quantized", bits, group, activations: "int8" }) as const),
  );
  const lowRank = grid.basis.flatMap((basis) =>
    grid.rank.flatMap((rank) =>
      grid.rankBits.map((bits): CheckedEstimator => {
        const activations = bits === 16 ? "f32" : "int8";
        return { kind: "lowRank", rank, bits, basis, activations };
      }),
    ),
  );
  const all = [...quantized, ...lowRank, ...(estimator.kind === "dense" ? [] : [estimator])];
  return [...new Map(all.map((each) => [keyOf(each), each])).values()];
}

/** The selectors of a grid, and that of the spec. */
export function selectorsOf({ select }: Grid, layer: CheckedLayer): CheckedSelector[] {
  const all = select.map(
    (recall): CheckedSelector => (recall === 1 ? { kind: "exact" } : { kind: "twoStage", recall }),
  );
  // What proves knows what it drops.
  return [...new Map([...all, layer.select].map((each) => [keyOf(each), each])).values()];
}

/** A layer in another setting. What its shards select and send follows anew. */
export function withSetting(layer: CheckedLayer, setting: Partial<Setting>): CheckedLayer {
  const { estimator = layer.estimator, candidates = layer.candidates, select = layer.select } = setting;
  const changed = { ...layer, estimator, candidates, select };
  if (!layer.shards) return changed;
  return { ...changed, shards: spread({ ...layer.shards, ...setting.shards }, selectedBy(changed)) };
}

/** What is selected from: rows, or groups of them that are not common. */
export function choicesOf(layer: CheckedLayer): number {
  return layer.kind === "ffn" ? layer.group.count - layer.group.common : layer.rows;
}

/** Equal for equal settings, in whatever order their properties are. */
export function keyOf(value: object): string {
  return JSON.stringify(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
