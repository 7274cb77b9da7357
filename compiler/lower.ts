// Pass 3. A checked layer becomes a chain of stages: what is computed, not yet how or where.

import type { CheckedLayer } from "./model.ts";

export type Stage =
  /** Tokens to int8, one scale per token. */
  | { readonly op: "quantize" }
  /** Tokens onto the basis of a low-rank estimator. */
  | { readonly op: "project" }
  /** Every row's estimate. */
  | { readonly op: "score"; readonly estimator: "quantized" | "lowRank" | "dense" }
  /** The best rows: of every bucket, or of all that survived. */
  | { readonly op: "select"; readonly from: "rows" | "survivors" }
  /** Candidates again, with the exact weights. */
  | { readonly op: "rescore" }
  /** The k best exact scores, in order. */
  | { readonly op: "topk" }
  /** The logarithm of the sum of exp(value). */
  | { readonly op: "logSumExp" }
  /** One of the results. */
  | { readonly op: "sample" }
  /** Whether the k-th of them is above everything that was dropped. */
  | { readonly op: "certify" }
  /** What a shard has to say to the others: its best rows, and what no other of its rows may score above. */
  | { readonly op: "send" }
  /** What all shards sent becomes the k best of all. */
  | { readonly op: "merge" }
  /** For the tokens where it is not, all over again: which they are, the exact scores of all rows, the k best. */
  | { readonly op: "fallback"; readonly part: "plan" | "score" | "topk" }
  /** What the neurons of the candidate groups add to the result, and the groups' exact scores. */
  | { readonly op: "gather" }
  /** The sum over the groups that are computed. */
  | { readonly op: "reduce" };

/** The stages of a layer, each reading what the one before wrote. */
export function lower(layer: CheckedLayer): readonly Stage[] {
  const { estimator } = layer;
  const stages: Stage[] = [];
  if (estimator.kind === "lowRank") stages.push({ op: "project" });
  if (estimator.kind !== "dense" && estimator.activations === "int8") stages.push({ op: "quantize" });
  stages.push({ op: "score", estimator: estimator.kind });
  stages.push({ op: "select", from: "rows" });
  stages.push({ op: "select", from: "survivors" });
  if (layer.kind === "ffn") return [...stages, { op: "gather" }, { op: "topk" }, { op: "reduce" }];
  // Dense scores are exact already.
  if (estimator.kind !== "dense") stages.push({ op: "rescore" });
  stages.push({ op: "topk" });
  if (layer.options.logSumExp) stages.push({ op: "logSumExp" });
  if (layer.options.sampler) stages.push({ op: "sample" });
  if (layer.shard) stages.push({ op: "send" });
  else if (layer.certify !== "off") stages.push({ op: "certify" });
  if (layer.certify === "fallback") {
    for (const part of ["plan", "score", "topk"] as const) stages.push({ op: "fallback", part });
  }
  return stages;
}
