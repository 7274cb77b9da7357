// From what an estimator gives for the rows to the estimates that choose among them, with bias and token scale.

import type { SoftmaxPlan } from "../plan.ts";
import type { Estimates } from "./estimates.ts";

/**
 * @param bias of each row, in float32; absent when the layer has none.
 * @returns the estimates of one token, with the roundings that decide the order when tokens are int8.
 */
export function scoredRows(plan: SoftmaxPlan, { scores, unit }: Estimates, bias?: Float32Array): Float64Array {
  if (unit === undefined) return bias ? scores.map((score, row) => score + bias[row]!) : scores;
  if (!bias && plan.logSumExp !== "estimates") return scores;
  return scores.map((score, row) => {
    const real = Math.fround(score * unit);
    return bias ? Math.fround(real + bias[row]!) : real;
  });
}
