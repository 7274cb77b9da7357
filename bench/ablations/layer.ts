// A layer as the study takes it: weights, inputs to fit to, and other inputs to measure on.

import type { CheckedLayer } from "../../compiler/model.ts";
import type { SharedBases } from "../../runtime/measure/copy.ts";
import type { LayerWeights } from "../../runtime/measure/exact.ts";

export interface StudyLayer {
  /** `tiny-lm`, or the size of the models whose shapes the layer has. */
  readonly model: string;
  readonly name: string;
  /** Where weights and inputs are from, in words. */
  readonly source: string;
  readonly layer: CheckedLayer;
  readonly weights: LayerWeights;
  /** f32 `[tokens, inputs]`: what roundings, bases and thresholds are fitted to. */
  readonly fit: Float32Array;
  /** f32 `[tokens, inputs]`: what everything is measured on. */
  readonly x: Float32Array;
  /** Tokens of `x` that are reported together. */
  readonly parts: readonly Part[];
  readonly bases: SharedBases;
  /** Orders of all rows, or groups, by how often they are wanted: a static shortlist is the front of one. */
  readonly orders: readonly Order[];
}

export interface Part {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

export interface Order {
  /** What is counted, in words. */
  readonly by: string;
  readonly choices: Uint32Array;
}

/** Rows, or groups of neurons, that there are to choose from. */
export function choicesOf(layer: CheckedLayer): number {
  return layer.kind === "ffn" ? layer.group.count : layer.rows;
}

/** Choices by how often they occur, ties to the lower one. */
export function byFrequency(choices: number, occurrences: Iterable<ArrayLike<number>>): Uint32Array {
  const counts = new Uint32Array(choices);
  for (const each of occurrences) for (let i = 0; i < each.length; i++) counts[each[i]!]! += 1;
  return Uint32Array.from(counts.keys()).sort((a, b) => counts[b]! - counts[a]! || a - b);
}
