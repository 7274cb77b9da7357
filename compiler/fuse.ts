// Pass 4. Stages become kernels, by these rules:
//
// 1. `score` and the `select` of its rows share a kernel, always: that is what keeps scores out of device memory.
// 2. `quantize` joins them when the codes of the whole batch fit into half of a workgroup's memory (the other half is for
//    selection); every workgroup then quantizes the tokens again, which costs less than a launch. Otherwise it is a
//    kernel of its own, and the codes are read through the cache.
// 3. Everything behind the survivors shares one kernel with one workgroup per token: a few thousand survivors are too
//    little work to split, and WGSL has no order between workgroups that a later stage could rely on.

import type { Stage } from "./lower.ts";
import type { CheckedSoftmax } from "./model.ts";
import type { Profile } from "./profiles.ts";

export type FusedKernel =
  | { readonly template: "quantize"; readonly stages: readonly Stage[] }
  | { readonly template: "score_select"; readonly stages: readonly Stage[] }
  | { readonly template: "rescore_topk"; readonly stages: readonly Stage[] };

/** Inputs of a row or token, padded so that whole 16-byte steps and whole groups cover it. */
export function paddedInputs({ inputs, estimator }: Pick<CheckedSoftmax, "inputs" | "estimator">): number {
  // 32 codes of 4 bits fill a step; a token's int8 codes are padded alike.
  const unit = estimator.kind === "quantized" && estimator.group !== "row" ? estimator.group : 32;
  return Math.ceil(inputs / unit) * unit;
}

export function fuse(stages: readonly Stage[], layer: CheckedSoftmax, profile: Profile): readonly FusedKernel[] {
  const quantize = stages.filter(({ op }) => op === "quantize");
  const firstOfSurvivors = stages.findIndex((stage) => stage.op === "select" && stage.from === "survivors");
  const scoring = stages.slice(quantize.length, firstOfSurvivors);
  const codesFit = layer.batch * paddedInputs(layer) <= profile.limits.maxComputeWorkgroupStorageSize / 2;
  const front: FusedKernel[] =
    quantize.length === 0 || codesFit
      ? [{ template: "score_select", stages: [...quantize, ...scoring] }]
      : [
          { template: "quantize", stages: quantize },
          { template: "score_select", stages: scoring },
        ];
  return [...front, { template: "rescore_topk", stages: stages.slice(firstOfSurvivors) }];
}
