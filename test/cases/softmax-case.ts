// A case: a layer, weights and tokens for it, and how closely a backend must agree with float64. It imports neither a
// backend nor Node, so that every backend can run the same table.

import type { SoftmaxOptions } from "../../dsl/index.ts";
import type { SoftmaxInputs } from "../../runtime/inputs.ts";
import { encode, roundTo } from "./dtypes.ts";
import { mulberry32, type Random } from "./random.ts";

export interface SoftmaxCase {
  readonly name: string;
  /** Everything that `softmax` takes but the name of the tensor. */
  readonly layer: Omit<SoftmaxOptions, "weight">;
  /** Any number, not only multiples of the batch. */
  readonly tokens: number;
  readonly weights: Fill;
  readonly inputs: Fill;
  /** One column of `rows` numbers; for a layer with a bias. */
  readonly bias?: Fill;
  /** Whether a row is allowed, for all tokens; for a layer with a mask, all are without it. */
  readonly mask?: (row: number) => boolean;
  /** A token's uniform number; for a layer with a multinomial sampler. */
  readonly uniforms?: (token: number) => number;
  /**
   * `exact`: every product, and every sum of products in whatever order, is a float, so backends must return the very
   * rows and values of float64. `rounded`: values may be off by the rounding of a sum in any order, and rows whose
   * scores lie closer than that may change places.
   */
  readonly comparison: "exact" | "rounded";
}

/** Writes a `[rows, columns]` matrix, which is all zeros before. */
export type Fill = (matrix: Matrix, random: Random) => void;

export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array;
}

/** The numbers of a case. */
export interface CaseData {
  /** `[rows, inputs]`, each a number that the layer's dtype has. */
  readonly weights: Float32Array;
  /** The same as they would lie in a weights file. */
  readonly weightBytes: Uint8Array;
  /** `[tokens, inputs]`. */
  readonly x: Float32Array;
  /** `[rows]`, as numbers and as they would lie in a weights file. */
  readonly bias?: Float32Array;
  readonly biasBytes?: Uint8Array;
  /** The layer's, as it was written. */
  readonly transform?: (score: number) => number;
  /** What `run` takes besides tokens. */
  readonly taken: SoftmaxInputs;
}

/** Makes the numbers of a case: the same ones on every machine. */
export function caseData(softmaxCase: SoftmaxCase): CaseData {
  const { name, layer, tokens, weights: fillWeights, inputs: fillInputs, bias: fillBias } = softmaxCase;
  const dtype = layer.dtype ?? "bf16";
  const random = mulberry32(seedOf(name));
  const weights = filled(fillWeights, layer.rows, layer.inputs, random).map((value) => roundTo(value, dtype));
  const x = filled(fillInputs, tokens, layer.inputs, random);
  const bias = fillBias && filled(fillBias, layer.rows, 1, random).map((value) => roundTo(value, dtype));
  const taken: SoftmaxInputs = {
    ...(softmaxCase.mask && { mask: Uint8Array.from({ length: layer.rows }, (_, row) => +softmaxCase.mask!(row)) }),
    ...(softmaxCase.uniforms && {
      uniforms: Float32Array.from({ length: tokens }, (_, token) => softmaxCase.uniforms!(token)),
    }),
  };
  return {
    weights,
    weightBytes: encode(weights, dtype),
    x,
    ...(bias && { bias, biasBytes: encode(bias, dtype) }),
    ...(layer.transform && { transform: layer.transform }),
    taken,
  };
}

/** Numbers of a case follow from its name. */
export function seedOf(name: string): number {
  return [...name].reduce((hash, letter) => Math.imul(hash, 31) + letter.codePointAt(0)!, 7);
}

export function filled(fill: Fill, rows: number, columns: number, random: Random): Float32Array {
  const data = new Float32Array(rows * columns);
  fill({ rows, columns, data }, random);
  return data;
}
