// How wide the bounds of a certified layer are likely to be.

import { emptyRow, quantizeRow } from "../../../runtime/pack/quantize.ts";
import type { ScoredPlan } from "../../../runtime/plan.ts";

export interface CertificateExplanation {
  readonly kind: "report" | "fallback";
  /**
   * What the bound of a score's error is likely to be, as a share of `‖row‖ · ‖token‖`; absent when scores are exact. The
   * k-th best row is certified when its cosine to the token is above that of the best other row by more than this.
   */
  readonly relativeBound?: number;
  /** Bytes per row that bounds add to the scored copy. */
  readonly bytesPerRow: number;
}

/** Rows and tokens of which the mean is taken, and inputs of each at most: more change no digit that is shown. */
const SAMPLES = 8;
const MAX_INPUTS = 4096;

export function explainCertificate(plan: ScoredPlan): CertificateExplanation | undefined {
  const { certificate, tensors, rows } = plan;
  if (!certificate) return undefined;
  const bounds = tensors.find(({ role }) => role === "bounds");
  return {
    kind: certificate.kind,
    ...(certificate.slack && { relativeBound: relativeBound(plan) + certificate.slack.rounding }),
    bytesPerRow: bounds ? bounds.bytes / rows : 0,
  };
}

/** Of normally distributed weights and tokens, by quantizing some. */
function relativeBound({ estimator, inputs }: ScoredPlan): number {
  if (estimator.kind !== "quantized") return 0;
  const { group, activations } = estimator;
  const groups = group >= inputs ? 1 : Math.max(1, Math.floor(Math.min(inputs, MAX_INPUTS) / group));
  const width = group >= inputs ? Math.min(inputs, MAX_INPUTS) : group * groups;
  const format = { ...estimator, groups, group: group >= inputs ? width : group };
  const normals = normalNumbers();
  let sum = 0;
  for (let sample = 0; sample < SAMPLES; sample++) {
    const weights = Float32Array.from({ length: width }, normals);
    const row = emptyRow(format);
    quantizeRow(weights, format, row);
    sum += relativeError(weights, (i) => row.levels[i]! * row.scales[Math.floor(i / format.group)]! * row.rowScale);
    if (activations === "f32") continue;
    const token = Float32Array.from({ length: width }, normals);
    const step = token.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127;
    sum += relativeError(token, (i) => Math.round(token[i]! / step) * step);
  }
  return sum / SAMPLES;
}

function relativeError(values: Float32Array, estimate: (i: number) => number): number {
  let [errors, squares] = [0, 0];
  values.forEach((value, i) => {
    errors += (value - estimate(i)) ** 2;
    squares += value ** 2;
  });
  return Math.sqrt(errors / squares);
}

/** The same numbers each time: a sum of twelve uniform ones, of a multiplicative generator (Lehmer, 2^31 - 1, 48271). */
function normalNumbers(): () => number {
  let state = 1;
  const uniform = () => {
    state = (state * 48271) % (2 ** 31 - 1);
    return state / (2 ** 31 - 1);
  };
  return () => Array.from({ length: 12 }, uniform).reduce((sum, each) => sum + each, -6);
}
