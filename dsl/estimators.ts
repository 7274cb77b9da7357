// Estimators: the cheap copy of the weights that scores every row.

import { type Built, builder } from "./built.ts";

export interface QuantizedOptions {
  /** Bits per weight: 4 reads a quarter of bf16, 8 reads half. 4 and 8 take the fewest instructions. */
  readonly bits: 2 | 3 | 4 | 5 | 6 | 8;
  /** Adjacent inputs that share a scale; `"row"` is one scale for the whole row. Default 32. */
  readonly group?: 32 | 64 | 128 | "row";
  /**
   * What the codes are multiplied with. `"int8"` (default) quantizes each token to int8 and scores in integers, which
   * gives the same candidates on every device; `"f32"` leaves the token as it is.
   */
  readonly activations?: "int8" | "f32";
}

export interface LowRankOptions {
  /** Numbers that a token is projected to, at most the rows and inputs of the layer. */
  readonly rank: number;
  /** Bits of each of a row's `rank` factors; the basis has 8 bits, and 16 where these have. */
  readonly bits: 4 | 8 | 16;
  /**
   * What the basis is made from: `"weights"` (default) approximates the weights best, `"activations"` the scores of inputs
   * like those recorded ones that `hirec pack --activations` is given.
   */
  readonly basis?: "weights" | "activations";
  /** As of `quantized`; factors of 16 bits are always multiplied with `"f32"`. */
  readonly activations?: "int8" | "f32";
}

export type Quantized = Built<"quantized", QuantizedOptions>;
export type Dense = Built<"dense", undefined>;
export type LowRank = Built<"lowRank", LowRankOptions>;
export type Estimator = Quantized | LowRank | Dense;

/** Scores with low-bit codes and a scale per group (HiRE-Q). */
export const quantized: (options: QuantizedOptions) => Quantized = builder("quantized");

/** Scores with a product of two narrow matrices (HiRE-LR): few bytes where rows resemble each other. */
export const lowRank: (options: LowRankOptions) => LowRank = builder("lowRank");

const buildDense = builder<"dense", undefined>("dense") as (options?: undefined) => Dense;

/** No estimator: every row is scored with the exact weights. The fused baseline that everything is compared with. */
export const dense: () => Dense = buildDense;
