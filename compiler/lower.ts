// Pass 3. A checked layer becomes a chain of stages: what is computed, not yet how or where.

import type { CheckedSoftmax } from "./model.ts";

export type Stage =
  /** Tokens to int8, one scale per token. */
  | { readonly op: "quantize" }
  /** Every row's estimate. */
  | { readonly op: "score"; readonly estimator: "quantized" | "dense" }
  /** The best rows: of every bucket, or of all that survived. */
  | { readonly op: "select"; readonly from: "rows" | "survivors" }
  /** Candidates again, with the exact weights. */
  | { readonly op: "rescore" }
  /** The k best exact scores, in order. */
  | { readonly op: "topk" }
  /** The logarithm of the sum of exp(value). */
  | { readonly op: "logSumExp" }
  /** One of the results. */
  | { readonly op: "sample" };

/** The stages of an output head, each reading what the one before wrote. */
export function lower(layer: CheckedSoftmax): readonly Stage[] {
  const { estimator } = layer;
  const stages: Stage[] = [];
  if (estimator.kind === "quantized" && estimator.activations === "int8") stages.push({ op: "quantize" });
  stages.push({ op: "score", estimator: estimator.kind });
  stages.push({ op: "select", from: "rows" });
  stages.push({ op: "select", from: "survivors" });
  // Dense scores are exact already.
  if (estimator.kind !== "dense") stages.push({ op: "rescore" });
  stages.push({ op: "topk" });
  if (layer.options.logSumExp) stages.push({ op: "logSumExp" });
  if (layer.options.sampler) stages.push({ op: "sample" });
  return stages;
}
