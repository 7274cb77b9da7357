// Turned knobs, in words.

import type { TuningPlan } from "../../runtime/plan.ts";

/** Such as `splits 4, residentThreads 1024`. */
export function wordsOf(tuning: TuningPlan): string {
  return Object.entries(tuning)
    .map((each) => each.join(" "))
    .join(", ");
}
