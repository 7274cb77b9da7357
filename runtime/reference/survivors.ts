// The first stage of a selection: what of a bucket survives.

import type { SelectionPlan } from "../plan.ts";
import { settled, sortRows } from "./order.ts";

/** Shares of the mean and the deviation by which kernels lower a threshold. */
const MARGIN = 2 ** -12;

/**
 * @param members of one bucket, in their order.
 * @returns those that survive: best first, or of a statistical selection in their order.
 */
export function survivorsOf(
  { kind, keep, quantile }: SelectionPlan,
  members: number[],
  scores: Float64Array,
): number[] {
  if (kind !== "statistical") return sortRows(members, scores).slice(0, keep);
  const limit = threshold(
    members.map((member) => settled(scores[member]!)).filter((score) => Number.isFinite(score)),
    quantile!,
  );
  return members.filter((member) => limit === undefined || !(settled(scores[member]!) <= limit)).slice(0, keep);
}

/** Undefined where it is no number that f32 holds: then nothing is known of the scores. */
function threshold(scores: readonly number[], quantile: number): number | undefined {
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  const squares = scores.reduce((sum, score) => sum + settled((score - mean) ** 2), 0);
  const deviation = Math.sqrt(squares / scores.length);
  const limit = mean + quantile * deviation - MARGIN * (Math.abs(mean) + deviation);
  const fits = [mean * scores.length, squares, limit].every((value) => Number.isFinite(Math.fround(value)));
  return fits ? settled(limit) : undefined;
}
