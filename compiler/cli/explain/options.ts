// What a layer does besides its k best, in words.

import type { LayerPlan } from "../../../runtime/plan.ts";

const SUMS = {
  all: "the log-sum-exp of all rows",
  candidates: "the log-sum-exp of the candidates",
  estimates: "the log-sum-exp, of other rows as estimated",
} as const;

export function explainOptions(layer: LayerPlan): string[] {
  const { bias, mask, transform, temperature, logSumExp, sampler, topK, topP } = layer;
  const biased = [
    bias !== undefined && (layer.kind === "softmax" ? "rows" : layer.gated ? "gate" : "up"),
    ...(layer.kind === "ffn" ? Object.keys(layer.biases ?? {}) : []),
  ].filter((each) => each !== false);
  return [
    biased.length > 0 && `a bias of ${biased.join(", ")}`,
    mask && "a mask of rows",
    transform && "a transform of scores",
    temperature !== undefined && `temperature ${temperature}`,
    logSumExp && SUMS[logSumExp],
    sampler === "greedy" && "the best row as a sample",
    sampler === "multinomial" && `a sample of the best ${topK}${topP === 1 ? "" : `, top-p ${topP}`}`,
  ].filter((each) => typeof each === "string");
}
