// What a certificate allows for floating point, in numbers of the layer. The proof stands in docs/certificates.md.

import type { CertificatePlan, EstimatorPlan } from "../runtime/plan.ts";
import type { CheckedScored } from "./model.ts";
import { exactStride } from "./padding.ts";

/** The whole squares of a token's codes and of their errors, summed in 32 bits, fit for so many inputs. */
export const MAX_CERTIFIED_INPUTS = 2 ** 17;

/**
 * Relative error of one operation: WGSL §15.7.4 lets a result be rounded either way, which is twice the error of rounding
 * to nearest, and promises neither an order of sums nor that products and sums are not fused.
 */
const UNIT = 2 ** -23;

/** Room for the few operations that turn a score and its bounds into an upper bound (docs/certificates.md, step 5). */
const RESERVE = 2 ** -18;

/** @returns nothing when the layer is not certified. */
export function planCertificate(layer: CheckedScored, estimator: EstimatorPlan): CertificatePlan | undefined {
  const { certify } = layer;
  if (certify === "off") return undefined;
  if (estimator.kind !== "quantized") return { kind: certify };
  // A score in integers has no error before its few last operations.
  const estimateTerms = estimator.activations === "int8" ? 0 : estimator.group * estimator.groups + 4;
  const exactTerms = exactStride(layer);
  const rounding = roundedUp(gamma(exactTerms) + gamma(estimateTerms) + RESERVE);
  return {
    kind: certify,
    slack: {
      rounding,
      growth: roundedUp(1 + rounding),
      norm: roundedUp(1 + gamma(exactTerms + 2) + RESERVE),
    },
  };
}

/** γ_n = n·u / (1 - n·u): the relative error of n operations in a row (Higham, §3.1). */
function gamma(operations: number): number {
  return (operations * UNIT) / (1 - operations * UNIT);
}

/** The f32 just above a positive number, or just above that. */
function roundedUp(value: number): number {
  return Math.fround(Math.fround(value) * (1 + UNIT));
}
