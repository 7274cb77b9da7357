// Passes 3 to 5 for one layer: what of its plan is the same for every profile, and its program for one of them.

import type { LayerPlan, LayerProgram, TuningPlan } from "../runtime/plan.ts";
import { route } from "./crossover.ts";
import { fuse, fuseMerge } from "./fuse.ts";
import { lower } from "./lower.ts";
import type { CheckedLayer, CheckedModel } from "./model.ts";
import type { Profile } from "./profiles.ts";
import { schedule } from "./schedule.ts";
import { planSharding } from "./sharding.ts";
import { tile } from "./tile.ts";

export interface PlannedLayer {
  /** As it will be computed: on the dense path where that is taken. */
  readonly layer: CheckedLayer;
  readonly plan: LayerPlan;
}

export function planLayers(model: CheckedModel): readonly PlannedLayer[] {
  return model.layers.map((each) => {
    const { layer, crossover } = route(each);
    const sharding = planSharding(layer);
    return { layer, plan: { ...tile(layer), ...(crossover && { crossover }), ...(sharding && { sharding }) } };
  });
}

/**
 * Of a sharded layer what is done when all shards have sent.
 * @throws HireError HIRE-PLAN-001, -002 and -009.
 */
export function planLayerProgram({ layer, plan }: PlannedLayer, profile: Profile, tuning?: TuningPlan): LayerProgram {
  const kernels = layer.shards ? fuseMerge(layer) : fuse(lower(layer), layer, profile);
  return schedule(layer.name, plan, kernels, profile, tuning);
}
