// Layers: what a model is made of.

import { type Built, builder } from "./built.ts";
import type { Estimator } from "./estimators.ts";
import type { Sampler } from "./samplers.ts";
import type { Selector } from "./selectors.ts";

/** Element type of the exact weights, as they lie in the weights file. */
export type Dtype = "f32" | "f16" | "bf16";

/** What is done about rows that an estimate may have hidden. */
export type Certify = "off" | "report" | "fallback";

/** A function of one number that a kernel can compute: arithmetic, comparisons, conditions, constants and `Math`. */
export type ScalarFunctionOfSpec = (z: number) => number;

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
  /**
   * What to do where tokens of a batch would together read more exact weights than the cheap copy saves: `"dense"`
   * (default) scores every row exactly instead, `"ignore"` keeps the estimator.
   */
  readonly crossover?: "dense" | "ignore";
  /** Name of a `[rows]` tensor of the same dtype in the weights file, which is added to the scores. */
  readonly bias?: string;
  /** Takes an input that says which rows are allowed; others are never returned. Default false. */
  readonly mask?: boolean;
  /**
   * What becomes of the exact scores of the rows, such as the softcap `(s) => 30 * Math.tanh(s / 30)`. It must not
   * decrease: rows are ordered by their scores before it.
   */
  readonly transform?: ScalarFunctionOfSpec;
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
  /**
   * Over how many devices or processes the rows are spread (DA-TOP-k, arXiv 2402.09360): each finds the best of its own, and
   * they exchange those. Default 1, no exchange at all. All sharded layers of a model have as many shards.
   */
  readonly shards?: number | ShardOptions;
}

export interface FfnOptions {
  /** Width of the hidden state. */
  readonly inputs: number;
  /** Neurons: rows of `up`, and of `gate`. */
  readonly hidden: number;
  /** Width of the result. Default `inputs`. */
  readonly outputs?: number;
  /** Element type of all weights. Default `"bf16"`. */
  readonly dtype?: Dtype;
  /** `down · (activation(gate · x) ⊙ (up · x))`, or without a gate `down · activation(up · x)`. Default true. */
  readonly gated?: boolean;
  /** Names in the weights file: gate and up `[hidden, inputs]`, down `[outputs, hidden]`. */
  readonly weights: { readonly gate?: string; readonly up: string; readonly down: string };
  /** Names of tensors of the same dtype that are added to the products: gate and up `[hidden]`, down `[outputs]`. */
  readonly bias?: { readonly gate?: string; readonly up?: string; readonly down?: string };
  readonly activation: ScalarFunctionOfSpec;
  /** The cheap copy of gate (of up where there is no gate) that scores every neuron. */
  readonly estimator: Estimator;
  /** How neurons are grouped, since whole groups are selected. */
  readonly group?: GroupOptions;
  /** How many of the best groups are computed per token; below 1, a share of all groups. */
  readonly k: number;
  /** How many groups are computed exactly to find them; below 1, a share of all groups. Default `2 · k`; not for `dense()`. */
  readonly candidates?: number;
  /** The first so many groups are computed for every token, besides the `k` that are selected. Default 0. */
  readonly common?: number;
  /** Default `exact()`. */
  readonly select?: Selector;
  /** Tokens per launch, 1 to 16. Default 1. */
  readonly batch?: number;
  /**
   * What to do where tokens of a batch would together read more exact weights than the cheap copy saves: `"dense"`
   * (default) scores every row exactly instead, `"ignore"` keeps the estimator.
   */
  readonly crossover?: "dense" | "ignore";
  /**
   * Over how many devices or processes the groups are spread (DA-TOP-k, arXiv 2402.09360): each computes the best of its own,
   * and what they add up to is summed over all. Default 1, no exchange at all. All sharded layers of a model have as many shards.
   */
  readonly shards?: number | ShardOptions;
}

/** How a layer is spread over shards. */
export interface ShardOptions {
  /** Shards, 1 to 1024. */
  readonly count: number;
  /**
   * `"interleaved"` (default) gives row, or group, `r` to shard `r mod count`: vocabularies are sorted by frequency, so that
   * the best rows of a token are neighbours. `"contiguous"` gives each shard a range.
   */
  readonly layout?: "interleaved" | "contiguous";
  /**
   * How many times its fair share of the candidates, or of the `k` groups of a feed-forward, a shard selects: a number from 1
   * on, or the expected recall from which it follows. Default `{ recall: 0.999 }`.
   */
  readonly slack?: number | { readonly recall: number };
  /**
   * Of an output head: how many of its best rows a shard sends in the first exchange, or the odds that some shard has to send
   * more in a second one, from which it follows. Default `{ resend: 0.001 }`.
   */
  readonly exchange?: number | { readonly resend: number };
}

export interface GroupOptions {
  /** Adjacent neurons of a group, 1 to 64. Default 8. */
  readonly size?: number;
  /**
   * What orders groups, made of the pre-activations of their neurons: the largest, the sum, the sum of squares, or the
   * sum of a function of each. Default `"max"`.
   */
  readonly score?: "max" | "sum" | "l2" | ScalarFunctionOfSpec;
}

declare const shape: unique symbol;

/** What the type of a layer knows of its options; there is nothing of it when the spec runs. */
interface Shaped<Shape> {
  readonly [shape]?: Shape;
}

export type Softmax<Shape = unknown> = Built<"softmax", SoftmaxOptions> & Shaped<Shape>;
export type Ffn<Shape = unknown> = Built<"ffn", FfnOptions> & Shaped<Shape>;
export type Layer = Softmax | Ffn;

/** An output head: the `k` best rows of `weight · x`, values descending, ties to the lower index. */
export const softmax: BuildSoftmax = builder("softmax") as BuildSoftmax;

// A parameter for each property, and not one for all of them: so editors still find properties that do not exist.
type BuildSoftmax = <
  Inputs extends number,
  Rows extends number,
  K extends number,
  Type extends Dtype = "bf16",
  Batch extends number = 1,
  Certified extends Certify = "off",
  Masked extends boolean = false,
  Summed extends boolean = false,
  Drawn extends Sampler | undefined = undefined,
>(
  options: SoftmaxOptions & {
    readonly inputs: Inputs;
    readonly rows: Rows;
    readonly k: K;
    readonly dtype?: Type;
    readonly batch?: Batch;
    readonly certify?: Certified;
    readonly mask?: Masked;
    readonly logSumExp?: Summed;
    readonly sample?: Drawn;
  },
) => Softmax<{
  readonly inputs: Inputs;
  readonly rows: Rows;
  readonly k: K;
  readonly dtype: Type;
  readonly batch: Batch;
  readonly certify: Certified;
  readonly mask: Masked;
  readonly logSumExp: Summed;
  readonly sample: Drawn;
}>;

/** A group-sparse feed-forward: of the groups of neighbouring neurons only the `k` with the best pre-activations. */
export const ffn: BuildFfn = builder("ffn") as BuildFfn;

type BuildFfn = <
  Inputs extends number,
  Hidden extends number,
  K extends number,
  Outputs extends number = Inputs,
  Type extends Dtype = "bf16",
  Batch extends number = 1,
>(
  options: FfnOptions & {
    readonly inputs: Inputs;
    readonly hidden: Hidden;
    readonly k: K;
    readonly outputs?: Outputs;
    readonly dtype?: Type;
    readonly batch?: Batch;
  },
) => Ffn<{
  readonly inputs: Inputs;
  readonly hidden: Hidden;
  readonly k: K;
  readonly outputs: Outputs;
  readonly dtype: Type;
  readonly batch: Batch;
}>;
