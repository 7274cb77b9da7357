// What a compiled model is: a plan, and the text of every file of its folder. Nothing is written here.

import { createHash } from "node:crypto";
import {
  type FfnPlan,
  type LayerPlan,
  PLAN_FORMAT,
  type Plan,
  type Program,
  type TuningPlan,
} from "../runtime/plan.ts";
import { bindings } from "./bindings.ts";
import type { CheckedModel } from "./model.ts";
import { type PlannedLayer, planLayerProgram, planLayers } from "./plan-layers.ts";
import type { OutputTarget, Profile } from "./profiles.ts";
import { render } from "./render.ts";
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
  const plan: Plan = deepFreeze({
    format: PLAN_FORMAT,
    model: model.name,
    spec: model.spec,
    packHash: packHash(layers),
    layers,
    programs,
  });

  const files = new Map([
    ["plan.json", `${JSON.stringify(plan, null, 2)}\n`],
    ["index.ts", bindings(plan)],
  ]);
  for (const { profile, target, layers: layerPrograms } of plan.programs) {
    for (const [layer, { kernels }] of Object.entries(layerPrograms)) {
      for (const kernel of kernels) {
        const source = render(kernel, { spec: model.spec, model: model.name, layer, profile, target });
        verify(kernel, target, source);
        const other = files.get(kernel.file);
        if (other !== undefined && other !== source) throw new Error(`two programs differ in ${kernel.file}`);
        files.set(kernel.file, source);
      }
    }
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

/** Everything that decides the bytes of a pack, and nothing else: a change of k′ must not ask for a new pack. */
function packHash(layers: Readonly<Record<string, LayerPlan>>): string {
  const decisive = Object.entries(layers).map(([name, layer]) => {
    const { inputs, rows, dtype, bias, estimator, selection, tiling, tensors } = layer;
    const sources =
      layer.kind === "softmax"
        ? { weight: layer.weight }
        : { weights: layer.weights, biases: layer.biases, group: sizesOf(layer) };
    return { name, inputs, rows, dtype, ...sources, bias, estimator, buckets: selection.buckets, tiling, tensors };
  });
  return createHash("sha256")
    .update(JSON.stringify({ format: PLAN_FORMAT, layers: decisive }))
    .digest("hex");
}

function sizesOf({ group: { size, common } }: FfnPlan) {
  return { size, common };
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}
