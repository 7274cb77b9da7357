// What a compiled model is: a plan, and the text of every file of its folder. Nothing is written here.

import { HireError } from "../runtime/errors.ts";
import { kernelsOf, type LayerPlan, PLAN_FORMAT, type Plan, type Program } from "../runtime/plan.ts";
import { bindings } from "./bindings.ts";
import { type Routed, route } from "./crossover.ts";
import { fuse, fuseMerge } from "./fuse.ts";
import { lower } from "./lower.ts";
import type { CheckedModel } from "./model.ts";
import { packHash } from "./pack-hash.ts";
import type { OutputTarget, Profile } from "./profiles.ts";
import { render } from "./render.ts";
import { schedule } from "./schedule.ts";
import { planSharding, planShards } from "./shards.ts";
import { tile } from "./tile.ts";
import { torchPackage } from "./torch.ts";
import { verify } from "./verify.ts";

export interface CompiledModel {
  readonly plan: Plan;
  /** Text by path below the compiled folder: `plan.json`, the bindings `index.ts`, one source per kernel and profile, the package for PyTorch. */
  readonly files: ReadonlyMap<string, string>;
}

/**
 * Passes 3 to 7: lower, fuse, schedule, render, verify, for every profile.
 * @param targets with `torch` among them, the package for PyTorch is emitted too; the profiles must be CUDA's as well then.
 * @throws HireError HIRE-PLAN-001, -002, -003, -009 and -020.
 */
export function emit(
  model: CheckedModel,
  profiles: readonly Profile[],
  targets: readonly OutputTarget[] = [],
): CompiledModel {
  const routed = model.layers.map(route);
  const layers = Object.fromEntries(routed.map((each) => [each.layer.name, wholeLayer(each)]));
  const programs = profiles.map((profile) => planProgram(routed, layers, profile));
  const shards = planShards(
    routed.map(({ layer }) => layer),
    layers,
    profiles,
  );
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
  if (targets.includes("torch") && shards) throw notInTorch(model.name);
  if (targets.includes("torch")) for (const [file, text] of torchPackage(plan, files)) files.set(file, text);
  return { plan, files };
}

function notInTorch(model: string): HireError {
  return new HireError({
    code: "HIRE-PLAN-020",
    message: `The package for PyTorch has no shards yet, and layers of "${model}" are spread over some`,
    fix: "Compile for wgsl or cuda, or remove `shards` from the spec",
  });
}

function wholeLayer({ layer, crossover }: Routed): LayerPlan {
  return { ...tile(layer), ...(crossover && { crossover }), ...(layer.shards && { sharding: planSharding(layer) }) };
}

function planProgram(routed: readonly Routed[], layers: Record<string, LayerPlan>, profile: Profile): Program {
  return {
    profile: profile.name,
    ...(profile.target === "wgsl"
      ? { target: profile.target, features: profile.features }
      : { target: profile.target, architecture: profile.architecture }),
    limits: profile.limits,
    layers: Object.fromEntries(
      routed.map(({ layer }) => {
        const kernels = layer.shards ? fuseMerge(layer) : fuse(lower(layer), layer, profile);
        return [layer.name, schedule(layer.name, layers[layer.name]!, kernels, profile)];
      }),
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
