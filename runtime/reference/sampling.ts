// What follows from the values of a token: the log-sum-exp, and the row that is drawn.

import type { SoftmaxPlan } from "../plan.ts";

/** log Σ exp(value): NaN when a value is, infinity when one is and none is NaN, -infinity of nothing. */
export function logSumExp(values: Iterable<number>): number {
  const all = [...values];
  const largest = all.reduce((most, value) => (Number.isNaN(value) || value > most ? value : most), -Infinity);
  if (all.some(Number.isNaN)) return Number.NaN;
  if (!Number.isFinite(largest)) return largest;
  return largest + Math.log(all.reduce((sum, value) => sum + Math.exp(value - largest), 0));
}

/**
 * Which result is drawn, by its rank. Where the best value is not finite, there are no probabilities, and it is taken.
 * @param values of a token's results, best first.
 */
export function drawnRank({ sampler, topK = 1, topP = 1 }: SoftmaxPlan, values: Float64Array, uniform: number): number {
  const [best = -Infinity] = values;
  if (sampler === "greedy" || !Number.isFinite(best)) return 0;
  const weights = Array.from(values.subarray(0, topK), (value) => Math.exp(value - best));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let mass = 0;
  const prefix: number[] = [];
  for (const weight of weights) {
    if (prefix.length > 0 && mass >= topP * total) break;
    mass += weight;
    prefix.push(weight);
  }
  const wanted = Math.min(Math.max(Number.isNaN(uniform) ? 0 : uniform, 0), 1 - 2 ** -24) * mass;
  let reached = 0;
  let drawn = 0;
  for (let rank = 0; rank < prefix.length && reached <= wanted; rank++) {
    reached += prefix[rank]!;
    if (prefix[rank]! > 0) drawn = rank;
  }
  return drawn;
}
