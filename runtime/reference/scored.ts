// From what an estimator gives for the rows to the estimates that choose among them, with bias and token scale.

import type { SoftmaxPlan } from "../plan.ts";

/**
 * @param bias of each row, in float32; absent when the layer has none.
 * @returns the estimates of one token, with the roundings that decide the order when tokens are int8.
 */
export function scoredRows(plan: SoftmaxPlan, estimates: Float64Array, x: Float32Array, bias?: Float32Array) {
  const { estimator } = plan;
  const integers = estimator.kind === "quantized" && estimator.activations === "int8";
  if (!integers) return bias ? estimates.map((estimate, row) => estimate + bias[row]!) : estimates;
  if (!bias && plan.logSumExp !== "estimates") return estimates;
  const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const scale = Math.fround(largest * Math.fround(1 / 127));
  const tokenScale = scale < 2 ** -126 ? 0 : scale;
  return estimates.map((estimate, row) => {
    const real = Math.fround(estimate * tokenScale);
    return bias ? Math.fround(real + bias[row]!) : real;
  });
}
