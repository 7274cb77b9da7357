// The checked model: what `check` promises to every later pass. Plain data, all defaults filled in.

import type { Dtype } from "../dsl/index.ts";
import type { SoftmaxOptionsPlan } from "../runtime/plan.ts";

export interface CheckedModel {
  readonly name: string;
  /** File name of the spec, without its folder, so that output does not depend on where it lies. */
  readonly spec: string;
  readonly layers: readonly CheckedSoftmax[];
}

export interface CheckedSoftmax {
  readonly kind: "softmax";
  readonly name: string;
  readonly inputs: number;
  readonly rows: number;
  readonly dtype: Dtype;
  readonly weight: string;
  readonly estimator: CheckedEstimator;
  /** `k ≤ candidates ≤ rows`; equal to `k` for the dense estimator. */
  readonly k: number;
  readonly candidates: number;
  readonly select: CheckedSelector;
  readonly batch: number;
  readonly options: SoftmaxOptionsPlan;
}

export type CheckedEstimator =
  | { readonly kind: "dense" }
  | {
      readonly kind: "quantized";
      readonly bits: 4 | 8;
      readonly group: 32 | 64 | 128 | "row";
      readonly activations: "int8" | "f32";
    };

export type CheckedSelector = { readonly kind: "exact" } | { readonly kind: "twoStage"; readonly recall: number };
