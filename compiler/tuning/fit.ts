// A tuning file, held against the spec that it lies beside: what fits is taken, and what does not is said.

import type { Diagnostic } from "../../runtime/errors.ts";
import type { TuningPlan } from "../../runtime/plan.ts";
import type { Tunings } from "../emit.ts";
import type { CheckedModel } from "../model.ts";
import { type PlannedLayer, planLayers } from "../plan-layers.ts";
import { ALL_PROFILES, type Profile } from "../profiles.ts";
import { planHash, type ReadTuning, type TunedLayer } from "./file.ts";
import { KNOB_NAMES, type KnobName, legalValues, turned } from "./knobs.ts";
import { wordsOf } from "./words.ts";

export interface FittedTuning {
  readonly tunings: Tunings;
  /** HIRE-PLAN-011 for every entry that does not fit; its layer has the default schedule then. */
  readonly warnings: readonly Diagnostic[];
}

/** What a tuning file holds for the profiles that are compiled for. Entries for others are not looked at. */
export function fitTuning(
  { file, places }: ReadTuning,
  model: CheckedModel,
  profiles: readonly Profile[],
): FittedTuning {
  const layers = new Map(planLayers(model).map((each) => [each.layer.name, each]));
  const tunings: Record<string, Record<string, TuningPlan>> = {};
  const warnings: Diagnostic[] = [];
  const warn = (at: readonly string[], { message, fix }: Misfit) =>
    warnings.push({ code: "HIRE-PLAN-011", severity: "warning", message, fix, span: places("profiles", ...at) });
  for (const [name, entries] of Object.entries(file.profiles)) {
    const profile = profiles.find((each) => each.name === name);
    if (!ALL_PROFILES.some((each) => each.name === name)) warn([name], unknownProfile(name));
    if (!profile) continue;
    tunings[name] = {};
    for (const [layer, tuned] of Object.entries(entries)) {
      const misfit = findMisfit(layer, layers.get(layer), tuned, profile, model.spec);
      if (misfit) warn([name, layer, ...misfit.at], misfit);
      else if (Object.keys(tuned.knobs).length > 0) tunings[name][layer] = tuned.knobs;
    }
  }
  return { tunings, warnings };
}

interface Misfit {
  readonly message: string;
  readonly fix: string;
  /** Names below the entry that lead to the place. */
  readonly at: readonly string[];
}

function unknownProfile(name: string): Misfit {
  return {
    message: `The tuning is for profile "${name}", which there is not`,
    fix: `Remove it; there are ${ALL_PROFILES.map((each) => each.name).join(", ")}`,
    at: [],
  };
}

function findMisfit(
  name: string,
  layer: PlannedLayer | undefined,
  { plan, knobs }: TunedLayer,
  profile: Profile,
  spec: string,
): Misfit | undefined {
  const again = `measure again: hirec tune ${spec} --profile ${profile.name} --layer ${name}`;
  if (!layer) {
    return { message: `The tuning is for layer "${name}", which the spec does not have`, fix: "Remove it", at: [] };
  }
  const instead = `layer "${name}" has its default schedule on ${profile.name}`;
  const unknown = Object.keys(knobs).find((each) => !KNOB_NAMES.includes(each as KnobName));
  if (unknown !== undefined) {
    const message = `There is no knob "${unknown}": ${instead}`;
    return { message, fix: `Use one of ${KNOB_NAMES.join(", ")}, or ${again}`, at: ["knobs", unknown] };
  }
  if (!turned(layer, profile, knobs)) return findIllegal(layer, knobs, profile, instead, again);
  if (plan === planHash(layer.plan)) return undefined;
  return {
    message: `Layer "${name}" has changed since it was tuned for ${profile.name}, and has its default schedule`,
    fix: `${again[0]!.toUpperCase()}${again.slice(1)}`,
    at: ["plan"],
  };
}

function findIllegal(layer: PlannedLayer, knobs: TuningPlan, profile: Profile, instead: string, again: string): Misfit {
  for (const [knob, value] of Object.entries(knobs)) {
    const values = legalValues(layer, profile, knob as KnobName);
    if (values.includes(value)) continue;
    const offered =
      values.length === 0 ? "Remove the knob, which the layer has no use for" : `Use one of ${values.join(", ")}`;
    const message = `Knob ${knob} cannot be ${value} here: ${instead}`;
    return { message, fix: `${offered}, or ${again}`, at: ["knobs", knob] };
  }
  const message = `${wordsOf(knobs)} do not go together: ${instead}`;
  return { message, fix: `Remove one of them, or ${again}`, at: ["knobs"] };
}
