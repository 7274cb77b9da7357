// Signs that a layer fails, in its measurements: each with a code, and what to do about it.

import type { Diagnostic } from "../../../runtime/errors.ts";
import type { LayerEvaluation } from "../../../runtime/node/evaluate-file.ts";

/** Shares by which the first stage may differ from its prediction, beside what so few tokens may show by chance. */
const APART = 0.01;

/** Estimates that correlate less with the scores than this order rows by chance to a good part. */
const LEAST_CORRELATION = 0.9;

/** A certificate that holds less often costs more than it tells. */
const LEAST_CERTIFIED = 0.5;

/** @param leastRecall what recall is to be, at least. */
export function warningsOf(evaluated: LayerEvaluation, leastRecall: number): readonly Diagnostic[] {
  const { layer, recall, estimates, certified, k, candidates } = evaluated;
  const warnings: Diagnostic[] = [];
  if (recall.mean < leastRecall) {
    warnings.push({
      code: "HIRE-CAL-010",
      message: `Layer "${layer}" returns ${percent(recall.mean)} of its exact ${k} best, less than ${percent(leastRecall)}`,
      fix: `Raise candidates (${candidates}) or the bits or rank of the estimator; hirec calibrate finds the cheapest setting`,
    });
  }
  if (estimates && estimates.correlation < LEAST_CORRELATION) {
    warnings.push({
      code: "HIRE-CAL-012",
      message: `Estimates of layer "${layer}" correlate with its scores by ${estimates.correlation.toFixed(3)} only`,
      fix: "Use more bits, smaller groups or a higher rank, or pack with --activations of inputs like these",
    });
  }
  if (estimates) {
    const { survivingK, predictedK, tokens } = estimates;
    const chance = 3 * Math.sqrt((predictedK * (1 - predictedK)) / (tokens * k));
    if (Math.abs(survivingK - predictedK) > APART + chance) {
      warnings.push({
        code: "HIRE-CAL-011",
        message: `The first stage of layer "${layer}" keeps ${percent(survivingK)} of the ${k} best estimates, where ${percent(predictedK)} are predicted`,
        fix: "The prediction takes rows to lie at random: shuffle rows that resemble each other, or raise the recall of select",
      });
    }
  }
  if (certified !== undefined && certified < LEAST_CERTIFIED) {
    warnings.push({
      code: "HIRE-CAL-013",
      message: `Layer "${layer}" proves ${percent(certified)} of the tokens`,
      fix: 'Use more bits or smaller groups, or more candidates; without use for the proof, certify: "off"',
    });
  }
  return warnings;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
