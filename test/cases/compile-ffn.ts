// A case of a feed-forward as a backend takes it: compiled and packed.

import { check } from "../../compiler/check.ts";
import { emit } from "../../compiler/emit.ts";
import type { Profile } from "../../compiler/profiles.ts";
import { defineModel, ffn } from "../../dsl/index.ts";
import type { WeightSource } from "../../runtime/layer.ts";
import { packFfn } from "../../runtime/pack/pack-ffn.ts";
import type { FfnPlan, Plan, TuningPlan } from "../../runtime/plan.ts";
import { LAYER } from "./compile-case.ts";
import { type FfnCase, type FfnData, ffnData } from "./ffn-case.ts";

export interface CompiledFfn {
  readonly plan: Plan;
  readonly sources: Readonly<Record<string, string>>;
  readonly layer: FfnPlan;
  readonly data: FfnData;
  readonly weights: WeightSource;
}

/** The model of a case, whose only layer is `LAYER`. */
export function ffnModel({ layer: options, bias = {} }: FfnCase) {
  const weights = { up: "up", down: "down", ...(options.gated !== false && { gate: "gate" }) };
  const named = Object.keys(bias).map((of) => [of === "gate" && options.gated === false ? "up" : of, `${of}.bias`]);
  return defineModel("case", {
    [LAYER]: ffn({ crossover: "ignore", ...options, weights, bias: Object.fromEntries(named) }),
  });
}

/** @param tuning of all profiles. */
export function compileFfn(ffnCase: FfnCase, profiles: readonly Profile[], tuning?: TuningPlan): CompiledFfn {
  const model = ffnModel(ffnCase);
  const tunings = tuning && Object.fromEntries(profiles.map(({ name }) => [name, { [LAYER]: tuning }]));
  const { plan, files } = emit(check({ model, sites: [] }), profiles, [], tunings);
  const sources = [...files].map(([path, text]) => [path, text.replace(/^\/\/.*\n/gm, "")]);
  const layer = plan.layers[LAYER] as FfnPlan;
  const data = ffnData(ffnCase);
  return { plan, sources: Object.fromEntries(sources), layer, data, weights: packedFfn(layer, data) };
}

/** The packed tensors of one layer. */
export function packedFfn(layer: FfnPlan, { gate, up, down, biases }: Omit<FfnData, "x">): WeightSource {
  const { rows, inputs, outputs, dtype } = layer;
  const matrices = {
    ...(gate && { gate: { rows, inputs, dtype, bytes: gate.bytes } }),
    up: { rows, inputs, dtype, bytes: up.bytes },
    down: { rows: outputs, inputs: rows, dtype, bytes: down.bytes },
  };
  const bytes = Object.fromEntries(Object.entries(biases).map(([role, matrix]) => [role, matrix.bytes]));
  const tensors = packFfn(layer, matrices, undefined, undefined, bytes);
  return ({ name }) => tensors.find((tensor) => tensor.name === name)!.data;
}
