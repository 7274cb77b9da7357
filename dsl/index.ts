// The language of a hirec spec. It imports nothing of the compiler or the runtime.

export type { Built } from "./built.ts";
export {
  type Dense,
  dense,
  type Estimator,
  type LowRank,
  type LowRankOptions,
  lowRank,
  type Quantized,
  type QuantizedOptions,
  quantized,
} from "./estimators.ts";
export {
  type Certify,
  type Dtype,
  type Ffn,
  type FfnOptions,
  ffn,
  type GroupOptions,
  type Layer,
  type ScalarFunctionOfSpec,
  type ShardOptions,
  type Softmax,
  type SoftmaxOptions,
  softmax,
} from "./layers.ts";
export { defineModel, type Model, type ModelOptions } from "./model.ts";
export {
  type Greedy,
  greedy,
  type Multinomial,
  type MultinomialOptions,
  multinomial,
  type Sampler,
} from "./samplers.ts";
export {
  type Exact,
  exact,
  type Selector,
  type Statistical,
  type StatisticalOptions,
  statistical,
  type TwoStage,
  type TwoStageOptions,
  twoStage,
} from "./selectors.ts";
