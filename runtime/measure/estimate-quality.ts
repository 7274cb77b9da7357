// The packed copy of a layer and its first stage against the exact scores, by the reference in float64.

import type { WeightSource } from "../layer.ts";
import type { LayerPlan } from "../plan.ts";
import { createReferenceFfn } from "../reference/ffn.ts";
import { sortRows } from "../reference/order.ts";
import { createReferenceSoftmax } from "../reference/softmax.ts";
import { deviationsOf } from "./deviations.ts";
import { type ExactLayer, tokenOf } from "./exact.ts";
import { correlationOf } from "./quality.ts";
import { countsOf, exactHistogram, type Histogram, type TokenOrder } from "./spread.ts";

/** What the packed copy and the first stage do, by the reference in float64. */
export interface EstimateQuality {
  /** Tokens that this was measured on: the reference takes its time. */
  readonly tokens: number;
  /** Correlation with the exact scores over all rows, or groups; mean over tokens. */
  readonly correlation: number;
  /** Share of the k best estimates that survive the first stage, and what the plan predicts. */
  readonly survivingK: number;
  readonly predictedK: number;
  /**
   * How exact scores are spread, and in the same bins what rows or groups are ordered by; the k-th exact score and the last
   * candidate, mean over tokens. In deviations of a token's exact scores above their mean.
   */
  readonly scores: {
    readonly exact: Histogram;
    readonly estimates: readonly number[];
    readonly kth: number;
    readonly cut: number;
  };
}

/** Products of a weight and an input that the reference may take, per layer: some ten seconds. */
const REFERENCE_WORK = 1e9;

/** Nothing of a layer that scores every row exactly. @param exact of the tokens `x`. */
export async function estimateQuality(
  name: string,
  plan: LayerPlan,
  weights: WeightSource,
  exact: ExactLayer,
  x: Float32Array,
): Promise<EstimateQuality | undefined> {
  if (plan.estimator.kind === "dense") return undefined;
  const most = Math.max(4, Math.floor(REFERENCE_WORK / (plan.rows * plan.inputs)));
  const tokens = Math.min(64, exact.tokens, most);
  const reference =
    plan.kind === "softmax"
      ? await createReferenceSoftmax(name, plan, weights)
      : await createReferenceFfn(name, plan, weights);
  const orders: TokenOrder[] = [];
  let [correlation, surviving, kth, cut] = [0, 0, 0, 0];
  for (let token = 0; token < tokens; token++) {
    const { estimates, unit, survivors, candidates } = reference.select(tokenOf(x, token, plan.inputs));
    const scores = tokenOf(exact.scores, token, exact.choices);
    const own = scores.subarray(exact.common);
    orders.push({ order: estimates, unit });
    const deviate = deviationsOf(own);
    kth += deviate(scores[exact.best[token]!.at(-1)!]!) / tokens;
    cut += deviate(estimates[candidates.at(-1)!]! * unit) / tokens;
    correlation += correlationOf(Float32Array.from(estimates.subarray(exact.common)), own) / tokens;
    const choices = Array.from({ length: exact.choices - exact.common }, (_, i) => exact.common + i);
    const best = sortRows(choices, estimates).slice(0, plan.k);
    const kept = new Set(survivors);
    surviving += best.filter((choice) => kept.has(choice)).length / plan.k / tokens;
  }
  const histogram = exactHistogram(exact, tokens);
  const estimates = countsOf(exact, tokens, (token) => orders[token]!, histogram);
  const scores = { exact: histogram, estimates, kth, cut };
  return { tokens, correlation, survivingK: surviving, predictedK: plan.selection.recallOfK, scores };
}
