// What a layer returns of what was chosen.

import type { FfnResult, LayerResult, SoftmaxResult } from "../../runtime/layer.ts";
import { addGroups, type ExactLayer, type ExactNeurons, tokenOf } from "../../runtime/measure/exact.ts";
import type { FfnPlan } from "../../runtime/plan.ts";
import { bestAmong } from "./selection.ts";

/** @param chosen rows, or groups, of each token that were computed exactly. */
export function exactOutcome(exact: ExactLayer, chosen: readonly Uint32Array[]): LayerResult {
  const { plan, scores, choices, neurons } = exact;
  if (plan.kind === "ffn") return ffnOutcome(plan, neurons!, chosen);
  return headOutcome(plan.k, (token) => tokenOf(scores, token, choices), chosen);
}

/**
 * The k best rows of those that were chosen.
 * @param scores of a token, whose values are returned too.
 */
export function headOutcome(
  k: number,
  scores: (token: number) => Float32Array,
  chosen: readonly Uint32Array[],
): SoftmaxResult {
  const indices = new Uint32Array(chosen.length * k);
  const values = new Float32Array(chosen.length * k);
  chosen.forEach((rows, token) => {
    const own = scores(token);
    const best = bestAmong(rows, own, k);
    indices.set(best, token * k);
    values.set(
      Float32Array.from(best, (row) => own[row]!),
      token * k,
    );
  });
  return { indices, values };
}

/** What the chosen groups add up to, all of them. @param chosen as many of each token. */
export function ffnOutcome(
  plan: FfnPlan,
  neurons: Pick<ExactNeurons, "hidden" | "down">,
  chosen: readonly Uint32Array[],
): FfnResult {
  const { outputs } = plan;
  const width = chosen[0]!.length;
  const output = new Float32Array(chosen.length * outputs);
  const groups = new Uint32Array(chosen.length * width);
  const sum = new Float64Array(outputs);
  chosen.forEach((own, token) => {
    sum.fill(0);
    addGroups(plan, neurons, token, own, 1, sum);
    output.set(sum, token * outputs);
    groups.set(own, token * width);
  });
  return { output, groups };
}
