// The checked model: what `check` promises to every later pass. Plain data, all defaults filled in.

import type { Certify, Dtype } from "../dsl/index.ts";
import type { CodeBits } from "../runtime/pack/code-format.ts";
import type { FfnPlan, GroupPlan, PartOfPlan, SoftmaxOptionsPlan } from "../runtime/plan.ts";
import type { ScalarFunction } from "../runtime/scalar.ts";
import type { ShardRows } from "../runtime/shard-rows.ts";

/** Largest batch that one launch scores while reading the weights once. */
export const MAX_BATCH = 16;

export interface CheckedModel {
  readonly name: string;
  /** File name of the spec, without its folder, so that output does not depend on where it lies. */
  readonly spec: string;
  readonly layers: readonly CheckedLayer[];
}

export type CheckedLayer = CheckedSoftmax | CheckedFfn;

/** What every layer has whose rows are scored. */
export interface CheckedScored {
  readonly name: string;
  readonly inputs: number;
  readonly rows: number;
  readonly dtype: Dtype;
  readonly estimator: CheckedEstimator;
  /** Of rows, or of groups; `k ≤ candidates ≤` all that there are to select from; equal for the dense estimator. */
  readonly k: number;
  readonly candidates: number;
  readonly select: CheckedSelector;
  readonly certify: Certify;
  readonly batch: number;
  /** Whether the dense path is taken where it reads fewer bytes. */
  readonly crossover: "dense" | "ignore";
  readonly options: SoftmaxOptionsPlan;
  /** Absent where the layer is whole. */
  readonly shards?: CheckedShards;
  /** Of the part that one shard computes: what it is a part of. */
  readonly shard?: PartOfPlan;
}

/** How a layer is to be spread, as a spec says it. */
export interface AskedShards {
  readonly count: number;
  readonly layout: ShardRows["layout"];
  /** How many times its fair share a shard selects, or the recall from which that follows. */
  readonly slack: number | { readonly recall: number };
  /** Rows that a shard of a head sends at first, or the odds of a second exchange from which they follow; absent of a feed-forward. */
  readonly exchange?: number | { readonly resend: number };
}

/** How a layer is spread, and what its exchange costs. */
export interface CheckedShards extends AskedShards {
  /** What a shard selects: rows that it recomputes, or groups that it adds up. */
  readonly keep: number;
  /** Rows of an output head that a shard sends at first; 0 of a feed-forward, which exchanges none. */
  readonly sent: number;
}

export interface CheckedSoftmax extends CheckedScored {
  readonly kind: "softmax";
  readonly weight: string;
}

export interface CheckedFfn extends CheckedScored {
  readonly kind: "ffn";
  readonly outputs: number;
  readonly gated: boolean;
  readonly weights: FfnPlan["weights"];
  readonly biases?: FfnPlan["biases"];
  readonly group: GroupPlan;
  readonly activation: ScalarFunction;
}

export type CheckedEstimator =
  | { readonly kind: "dense" }
  | {
      readonly kind: "lowRank";
      readonly rank: number;
      readonly bits: 4 | 8 | 16;
      readonly basis: "weights" | "activations";
      readonly activations: "int8" | "f32";
    }
  | {
      readonly kind: "quantized";
      readonly bits: CodeBits;
      readonly group: 32 | 64 | 128 | "row";
      readonly activations: "int8" | "f32";
    };

export type CheckedSelector =
  | { readonly kind: "exact" }
  | { readonly kind: "twoStage"; readonly recall: number }
  /** `expected` rows above the threshold: twice the candidates, or all rows if they are fewer, where nothing is said. */
  | { readonly kind: "statistical"; readonly expected?: number };
