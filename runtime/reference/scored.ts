// From what an estimator gives for the rows to the estimates that choose among them, with bias and token scale.

import type { SoftmaxPlan } from "../plan.ts";
import type { Estimates } from "./estimates.ts";

/**
 * @param bias of each row, in float32; absent when the layer has none.
 * @returns the estimates of one token, with the roundings that decide the order when tokens are int8, and what 1 counts.
 */
export function scoredRows(
  plan: SoftmaxPlan,
  { scores, unit }: Estimates,
  bias?: Float32Array,
): Estimates & { readonly unit: number } {
  if (unit === undefined) return { scores: bias ? scores.map((score, row) => score + bias[row]!) : scores, unit: 1 };
  if (!bias && plan.logSumExp !== "estimates") return { scores, unit };
  const real = scores.map((score, row) => {
    const value = Math.fround(score * unit);
    return bias ? Math.fround(value + bias[row]!) : value;
  });
  return { scores: real, unit: 1 };
}
