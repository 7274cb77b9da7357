// What a compiled model is: a plan, and the text of every file of its folder. Nothing is written here.

import { kernelsOf, PLAN_FORMAT, type Plan, type Program, type TuningPlan } from "../runtime/plan.ts";
import { bindings } from "./bindings.ts";
import type { CheckedModel } from "./model.ts";
import { packHash } from "./pack-hash.ts";
import { type PlannedLayer, planLayerProgram, planLayers } from "./plan-layers.ts";
import type { OutputTarget, Profile } from "./profiles.ts";
import { render } from "./render.ts";
import { planShards } from "./shards.ts";
import { torchPackage } from "./torch.ts";
import { verify } from "./verify.ts";

export interface CompiledModel {
  readonly plan: Plan;
  /** Text by path below the compiled folder: `plan.json`, the bindings `index.ts`, one source per kernel and profile, the package for PyTorch. */
  readonly files: ReadonlyMap<string, string>;
}

/** Knobs that are turned, by profile and layer. */
export type Tunings = Readonly<Record<string, Readonly<Record<string, TuningPlan>>>>;

/**
 * Passes 3 to 7: lower, fuse, schedule, render, verify, for every profile.
 * @param targets with `torch` among them, the package for PyTorch is emitted too; the profiles must be CUDA's as well then.
 * @throws HireError HIRE-PLAN-001, -002, -003 and -009.
 */
export function emit(
  model: CheckedModel,
  profiles: readonly Profile[],
  targets: readonly OutputTarget[] = [],
  tunings: Tunings = {},
): CompiledModel {
  const planned = planLayers(model);
  const layers = Object.fromEntries(planned.map(({ layer, plan }) => [layer.name, plan]));
  const programs = profiles.map((profile) => planProgram(planned, profile, tunings[profile.name] ?? {}));
  const shards = planShards(planned, profiles);
  const plan: Plan = deepFreeze({
    format: PLAN_FORMAT,
    model: model.name,
    spec: model.spec,
    packHash: packHash(layers),
    layers,
    programs,
    ...(shards && { shards }),
  });

  const files = new Map([
    ["plan.json", `${JSON.stringify(plan, null, 2)}\n`],
    ["index.ts", bindings(plan)],
  ]);
  const place = { spec: model.spec, model: model.name };
  for (const { profile, target, layer, kernel } of kernelsOf(plan)) {
    const source = render(kernel, { ...place, layer, profile, target });
    verify(kernel, target, source);
    const other = files.get(kernel.file);
    if (other !== undefined && other !== source) throw new Error(`two programs differ in ${kernel.file}`);
    files.set(kernel.file, source);
  }
  if (targets.includes("torch")) for (const [file, text] of torchPackage(plan, files)) files.set(file, text);
  return { plan, files };
}

function planProgram(planned: readonly PlannedLayer[], profile: Profile, tunings: Tunings[string]): Program {
  return {
    profile: profile.name,
    ...(profile.target === "wgsl"
      ? { target: profile.target, features: profile.features }
      : { target: profile.target, architecture: profile.architecture }),
    limits: profile.limits,
    layers: Object.fromEntries(
      planned.map((each) => [each.layer.name, planLayerProgram(each, profile, tunings[each.layer.name])]),
    ),
  };
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}
