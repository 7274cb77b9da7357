// A case as a backend takes it: compiled and packed. All cases share the names of model and layer, and sources lose their
// comments, which name the profile: so equal kernels have equal sources, which a device compiles once.

import { compileModel } from "../../compiler/index.ts";
import { defineModel, softmax } from "../../dsl/index.ts";
import type { WeightSource } from "../../runtime/layer.ts";
import { packLayer } from "../../runtime/pack/pack-layer.ts";
import type { Plan, SoftmaxPlan } from "../../runtime/plan.ts";
import { type CaseData, caseData, type SoftmaxCase } from "./softmax-case.ts";

export const LAYER = "head";

export interface CompiledCase {
  readonly plan: Plan;
  readonly sources: Readonly<Record<string, string>>;
  readonly layer: SoftmaxPlan;
  readonly data: CaseData;
  readonly weights: WeightSource;
}

const compiled = new Map<string, Pick<CompiledCase, "plan" | "sources">>();

export function compileCase(softmaxCase: SoftmaxCase): CompiledCase {
  const key = JSON.stringify(softmaxCase.layer, (_, value) => (typeof value === "function" ? String(value) : value));
  if (!compiled.has(key)) {
    const { plan, files } = compileLayers({ [LAYER]: softmaxCase.layer });
    const sources = [...files].map(([path, text]) => [path, text.replace(/^\/\/.*\n/gm, "")]);
    compiled.set(key, { plan, sources: Object.fromEntries(sources) });
  }
  const { plan, sources } = compiled.get(key)!;
  const layer = plan.layers[LAYER] as SoftmaxPlan;
  const data = caseData(softmaxCase);
  return { plan, sources, layer, data, weights: packed(layer, data) };
}

/** Compiles layers whose weights carry the layers' own names. */
export function compileLayers(layers: Readonly<Record<string, SoftmaxCase["layer"]>>) {
  const named = Object.entries(layers).map(([name, layer]) => [
    name,
    softmax({ crossover: "ignore", ...layer, weight: name }),
  ]);
  const { plan, files } = compileModel(defineModel("case", Object.fromEntries(named)));
  return { plan: plan as Plan & { readonly layers: Readonly<Record<string, SoftmaxPlan>> }, files };
}

/** The packed tensors of one layer. */
export function packed(
  layer: SoftmaxPlan,
  { weightBytes, biasBytes }: Pick<CaseData, "weightBytes" | "biasBytes">,
): WeightSource {
  const { rows, inputs, dtype } = layer;
  const tensors = packLayer(layer, { rows, inputs, dtype, bytes: weightBytes }, undefined, undefined, biasBytes);
  return ({ name }) => tensors.find((tensor) => tensor.name === name)!.data;
}
