// Each kind of kernel has a file of its own, which says its grid, its bindings, what it keeps in workgroup memory, and the
// numbers and choices that its template receives.

import type { KernelPlan } from "../../runtime/plan.ts";
import type { FusedKernel } from "../fuse.ts";
import type { Context } from "./kernel.ts";
import { scheduleQuantize } from "./quantize.ts";
import { scheduleRescoreTopk } from "./rescore-topk.ts";
import { scheduleSample } from "./sample.ts";
import { scheduleScoreSelect } from "./score-select.ts";

const SCHEDULERS: Readonly<Record<FusedKernel["template"], (context: Context) => KernelPlan>> = {
  quantize: scheduleQuantize,
  score_select: scheduleScoreSelect,
  rescore_topk: scheduleRescoreTopk,
  sample: scheduleSample,
};

/** Schedules one fused kernel. */
export function scheduleKernel(context: Context): KernelPlan {
  return SCHEDULERS[context.fused.template](context);
}
