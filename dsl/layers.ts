// Layers: what a model is made of.

import { type Built, builder } from "./built.ts";
import type { Estimator } from "./estimators.ts";
import type { Sampler } from "./samplers.ts";
import type { Selector } from "./selectors.ts";

/** Element type of the exact weights, as they lie in the weights file. */
export type Dtype = "f32" | "f16" | "bf16";

export interface SoftmaxOptions {
  /** Width of the hidden state. */
  readonly inputs: number;
  /** Rows of the weight matrix: the size of the vocabulary. */
  readonly rows: number;
  /** Element type of the weights. Default `"bf16"`. */
  readonly dtype?: Dtype;
  /** Name of the `[rows, inputs]` tensor in the weights file. */
  readonly weight: string;
  readonly estimator: Estimator;
  /** How many of the best rows are returned per token. */
  readonly k: number;
  /** How many rows are recomputed exactly per token (k′). Default `4 · k`, at most `rows`; not for `dense()`. */
  readonly candidates?: number;
  /** Default `twoStage({ recall: 0.99 })`; `exact()` for `dense()`. */
  readonly select?: Selector;
  /** Tokens per launch, 1 to 16. Default 1. */
  readonly batch?: number;
  /** Name of a `[rows]` tensor of the same dtype in the weights file, which is added to the scores. */
  readonly bias?: string;
  /** Takes an input that says which rows are allowed; others are never returned. Default false. */
  readonly mask?: boolean;
  /** Values are divided by it, above 0. It changes no order. Default 1. */
  readonly temperature?: number;
  /** Also returns the logarithm of the sum of exp(value) over the rows, per token. Default false. */
  readonly logSumExp?: boolean;
  /**
   * What rows that are no candidates add to `logSumExp`: nothing (`"drop"`, default), or what they are estimated to be
   * (`"estimate"`). With `dense()` all rows count, exactly.
   */
  readonly tail?: "drop" | "estimate";
  /** Also returns one row per token, drawn from its results. */
  readonly sample?: Sampler;
}

export type Softmax = Built<"softmax", SoftmaxOptions>;
export type Layer = Softmax;

/** An output head: the `k` best rows of `weight · x`, values descending, ties to the lower index. */
export const softmax: (options: SoftmaxOptions) => Softmax = builder("softmax");
