// The calibrated layers as they are proposed, compiled.

import type { Plan } from "../../runtime/plan.ts";
import { emit } from "../emit.ts";
import type { CheckedModel } from "../model.ts";
import { pickProfiles } from "../pick-profiles.ts";
import { withSetting } from "./grid.ts";
import type { Calibration } from "./result.ts";

/** A layer without a proposal is as the spec has it. */
export function proposedPlan(model: CheckedModel, { layers }: Calibration): Plan {
  const proposed = layers.map(({ layer: name, settings, proposal }) => {
    const layer = model.layers.find((each) => each.name === name)!;
    return proposal === undefined ? layer : withSetting(layer, settings[proposal]!);
  });
  return emit({ ...model, layers: proposed }, pickProfiles({})).plan;
}
