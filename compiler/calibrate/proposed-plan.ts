// The calibrated layers as they are proposed, compiled.

import type { Plan } from "../../runtime/plan.ts";
import { emit } from "../emit.ts";
import type { CheckedModel } from "../model.ts";
import { pickProfiles } from "../pick-profiles.ts";
import { withSetting } from "./grid.ts";
import { proposedChange } from "./proposed-change.ts";
import type { Calibration } from "./result.ts";

/** What is not changed is as the spec has it. */
export function proposedPlan(model: CheckedModel, { layers }: Calibration): Plan {
  const proposed = layers.map((each) => {
    const layer = model.layers.find(({ name }) => name === each.layer)!;
    return withSetting(layer, proposedChange(each));
  });
  return emit({ ...model, layers: proposed }, pickProfiles({})).plan;
}
