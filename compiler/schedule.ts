// Pass 5. Fused kernels become launches on one device profile: buffers, bindings, workgroup memory, grid, and the numbers
// and choices that a template receives. The result is frozen: it is the plan.

import { HireError } from "../runtime/errors.ts";
import type { LayerPlan, LayerProgram, TuningPlan } from "../runtime/plan.ts";
import type { FusedKernel } from "./fuse.ts";
import type { Profile } from "./profiles.ts";
import { planBuffers } from "./schedule/buffers.ts";
import { scheduleKernel } from "./schedule/kernels.ts";
import { limitProblems } from "./schedule/limits.ts";

/**
 * @param tuning knobs that are turned, of which a schedule does what it can.
 * @throws HireError HIRE-PLAN-001 when a buffer does not fit into one binding of the profile, -002 when integer scores
 * could overflow, -009 when a kernel needs more of anything than the profile offers.
 */
export function schedule(
  name: string,
  layer: LayerPlan,
  kernels: readonly FusedKernel[],
  profile: Profile,
  tuning?: TuningPlan,
): LayerProgram {
  const quantizedBefore = kernels.some(({ template }) => template === "quantize");
  const scheduled = kernels.map((fused) => scheduleKernel({ name, layer, profile, fused, quantizedBefore, tuning }));
  const used = new Set(scheduled.flatMap(({ bindings }) => bindings.map(({ name, buffer = name }) => buffer)));
  const buffers = planBuffers(layer, profile).filter((buffer) => used.has(buffer.name));
  const problems = limitProblems(name, layer, buffers, scheduled, profile);
  if (problems.length > 0) throw new HireError(problems);
  return { ...(tuning && { tuning }), buffers, kernels: scheduled };
}
