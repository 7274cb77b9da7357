// Each kind of kernel has a file of its own, which says its grid, its bindings, what it keeps in workgroup memory, and the
// numbers and choices that its template receives.

import type { FfnPlan, KernelPlan, SoftmaxPlan } from "../../runtime/plan.ts";
import type { FusedKernel } from "../fuse.ts";
import { scheduleFallbackPlan } from "./fallback-plan.ts";
import { scheduleFallbackScore } from "./fallback-score.ts";
import { scheduleGather } from "./gather.ts";
import type { Context } from "./kernel.ts";
import { scheduleMerge } from "./merge.ts";
import { scheduleProject } from "./project.ts";
import { scheduleQuantize } from "./quantize.ts";
import { scheduleReduce } from "./reduce.ts";
import { scheduleRescoreTopk } from "./rescore-topk.ts";
import { scheduleSample } from "./sample.ts";
import { scheduleScoreSelect } from "./score-select.ts";

const SCHEDULERS: Readonly<Record<FusedKernel["template"], (context: Context) => KernelPlan>> = {
  project: scheduleProject,
  quantize: scheduleQuantize,
  score_select: scheduleScoreSelect,
  rescore_topk: scheduleRescoreTopk,
  fallback_plan: scheduleFallbackPlan,
  fallback_score: scheduleFallbackScore,
  // Only a feed-forward has these.
  gather: (context) => scheduleGather(context as Context<FfnPlan>),
  reduce: (context) => scheduleReduce(context as Context<FfnPlan>),
  sample: scheduleSample,
  // Only a sharded head has this.
  merge: (context) => scheduleMerge(context as Context<SoftmaxPlan>),
};

/** Schedules one fused kernel. */
export function scheduleKernel(context: Context): KernelPlan {
  return SCHEDULERS[context.fused.template](context);
}
