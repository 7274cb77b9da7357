// Which schedules of a layer are tried: all combinations of a kernel's knobs while those are few, and else one knob at a
// time, the others as they were found best so far. Kernels do not wait for each other's knobs.

import type { TuningPlan } from "../../runtime/plan.ts";
import { type PlannedLayer, planLayerProgram } from "../plan-layers.ts";
import type { Profile } from "../profiles.ts";
import { KNOB_NAMES, KNOBS, type KnobName, type KnobValue, knobsOf, offeredValues, turned } from "../tuning/knobs.ts";

/** What to try next, given the best so far; a tuning names only knobs that differ from the default. */
export type Step = (best: TuningPlan) => readonly TuningPlan[];

const MOST_COMBINATIONS = 16;

export function stepsOf(layer: PlannedLayer, profile: Profile): readonly Step[] {
  const usual = knobsOf(planLayerProgram(layer, profile), profile);
  const values = new Map(KNOB_NAMES.map((name) => [name, offeredValues(layer, profile, name)]));
  const names = KNOB_NAMES.filter((name) => values.get(name)!.length > 1);
  const kernels = [...new Set(names.map((name) => KNOBS[name].template))];

  const stepOver = (together: readonly KnobName[]): Step => {
    const combinations = combine(together, values);
    return (best) =>
      combinations
        .map((combination) => withoutDefaults({ ...usual, ...best, ...combination }, usual))
        .filter((tuning) => !isSame(tuning, best) && turned(layer, profile, tuning));
  };
  return kernels.flatMap((kernel) => {
    const own = names.filter((name) => KNOBS[name].template === kernel);
    const count = own.reduce((product, name) => product * values.get(name)!.length, 1);
    return count <= MOST_COMBINATIONS ? [stepOver(own)] : own.map((name) => stepOver([name]));
  });
}

function combine(names: readonly KnobName[], values: ReadonlyMap<KnobName, readonly KnobValue[]>): TuningPlan[] {
  return names.reduce<TuningPlan[]>(
    (combinations, name) =>
      combinations.flatMap((each) => values.get(name)!.map((value) => ({ ...each, [name]: value }))),
    [{}],
  );
}

function withoutDefaults(tuning: TuningPlan, usual: TuningPlan): TuningPlan {
  return Object.fromEntries(
    KNOB_NAMES.filter((name) => tuning[name] !== usual[name]).map((name) => [name, tuning[name]]),
  );
}

export function isSame(one: TuningPlan, other: TuningPlan): boolean {
  return KNOB_NAMES.every((name) => one[name] === other[name]);
}
