// How the scores of a layer's tokens are spread, for histograms with the cut.

import type { LayerPlan } from "../plan.ts";
import { deviationsOf } from "./deviations.ts";
import { type ExactLayer, tokenOf } from "./exact.ts";
import type { EstimatedScores } from "./scores.ts";
import { tokenEstimates } from "./settings.ts";

/** Few enough to draw, fine enough to show where the best begin. */
const BINS = 64;

/** Of scores in deviations of a token's exact scores above their mean. */
export interface Histogram {
  /** Edges of equal bins; what lies outside counts in the first or the last. */
  readonly from: number;
  readonly to: number;
  readonly counts: readonly number[];
}

/** What a token's choices are ordered by, and what 1 counts. */
export interface TokenOrder {
  readonly order: ArrayLike<number>;
  readonly unit: number;
}

/** Of the exact scores of the first `tokens` tokens. */
export function exactHistogram(exact: ExactLayer, tokens: number): Histogram {
  const ofToken = (token: number) => ({ order: tokenOf(exact.scores, token, exact.choices), unit: 1 });
  let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  eachScore(exact, tokens, ofToken, (score) => {
    from = Math.min(from, score);
    to = Math.max(to, score);
  });
  const edges = from <= to ? { from, to } : { from: 0, to: 0 };
  return { ...edges, counts: countsOf(exact, tokens, ofToken, edges) };
}

/**
 * What an estimator orders by, in the bins of the exact scores: estimates, or of a certified layer their upper bounds.
 * @param plan of a layer with this estimator.
 */
export function estimatedCounts(
  exact: ExactLayer,
  estimated: EstimatedScores,
  plan: LayerPlan,
  tokens: number,
  edges: Histogram,
): number[] {
  return countsOf(exact, tokens, tokenEstimates(exact, estimated, plan), edges);
}

export function countsOf(
  exact: ExactLayer,
  tokens: number,
  ofToken: (token: number) => TokenOrder,
  { from, to }: Pick<Histogram, "from" | "to">,
): number[] {
  const counts = new Array<number>(BINS).fill(0);
  const width = (to - from) / BINS || 1;
  eachScore(exact, tokens, ofToken, (score) => {
    counts[Math.min(BINS - 1, Math.max(0, Math.floor((score - from) / width)))]!++;
  });
  return counts;
}

/** Calls with each finite score, in deviations. */
function eachScore(
  { scores, choices, common }: ExactLayer,
  tokens: number,
  ofToken: (token: number) => TokenOrder,
  call: (score: number) => void,
): void {
  for (let token = 0; token < tokens; token++) {
    const deviate = deviationsOf(tokenOf(scores, token, choices).subarray(common));
    const { order, unit } = ofToken(token);
    for (let choice = common; choice < choices; choice++) {
      const score = order[choice]! * unit;
      if (Number.isFinite(score)) call(deviate(score));
    }
  }
}
