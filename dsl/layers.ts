// Layers: what a model is made of.

import { type Built, builder } from "./built.ts";
import type { Estimator } from "./estimators.ts";
import type { Selector } from "./selectors.ts";

/** Element type of the exact weights, as they lie in the weights file. */
export type Dtype = "f32" | "f16" | "bf16";

/** What is done about rows that an estimate may have hidden. */
export type Certify = "off" | "report" | "fallback";

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
  /**
   * Whether to prove, for each token, that no row was missed. `"report"` returns a flag per token; `"fallback"` also
   * recomputes the tokens that it could not prove, so that the result is always exact. Default `"off"`.
   */
  readonly certify?: Certify;
  /** Tokens per launch, 1 to 16. Default 1. */
  readonly batch?: number;
}

export type Softmax = Built<"softmax", SoftmaxOptions>;
export type Layer = Softmax;

/** An output head: the `k` best rows of `weight · x`, values descending, ties to the lower index. */
export const softmax: (options: SoftmaxOptions) => Softmax = builder("softmax");
