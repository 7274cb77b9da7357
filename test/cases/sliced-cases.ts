// Layers whose matrices exceed one binding of a profile whose bindings are made small, so that small layers are sliced too.

import { check } from "../../compiler/check.ts";
import { emit } from "../../compiler/emit.ts";
import type { Profile, WgslProfile } from "../../compiler/profiles.ts";
import { defineModel, dense, exact, quantized, softmax } from "../../dsl/index.ts";
import { LAYER } from "./compile-case.ts";
import type { SoftmaxCase } from "./softmax-case.ts";

const base = { inputs: 40, rows: 1000, dtype: "bf16", k: 9, candidates: 70, batch: 3 } as const;

/** Each with the largest binding in bytes, and how many slices of the scored copy and of the exact rows that makes. */
export const SLICED_CASES: readonly {
  name: string;
  layer: SoftmaxCase["layer"];
  binding: number;
  scored: number;
  exact: number;
}[] = [
  {
    name: "4 bits, both sliced",
    layer: { ...base, estimator: quantized({ bits: 4 }) },
    binding: 16384,
    scored: 2,
    exact: 5,
  },
  {
    name: "8 bits, many slices",
    layer: { ...base, estimator: quantized({ bits: 8, group: "row" }) },
    binding: 6000,
    scored: 16,
    exact: 14,
  },
  {
    name: "f32 activations and weights",
    layer: { ...base, dtype: "f32", estimator: quantized({ bits: 4, activations: "f32" }) },
    binding: 16384,
    scored: 2,
    exact: 10,
  },
  {
    name: "dense, exactly selected",
    layer: { inputs: 40, rows: 1000, dtype: "f16", k: 9, batch: 3, estimator: dense() },
    binding: 16384,
    scored: 6,
    exact: 1,
  },
  {
    name: "only the exact rows sliced",
    layer: { ...base, estimator: quantized({ bits: 4 }), select: exact() },
    binding: 40000,
    scored: 1,
    exact: 2,
  },
  {
    name: "certified, both sliced, fallback",
    layer: { ...base, estimator: quantized({ bits: 4 }), certify: "fallback" },
    binding: 16384,
    scored: 2,
    exact: 5,
  },
  {
    name: "certified, f32 activations, only the exact rows sliced, fallback",
    layer: {
      ...base,
      rows: 2000,
      estimator: quantized({ bits: 8, activations: "f32" }),
      select: exact(),
      certify: "fallback",
    },
    binding: 100_000,
    scored: 2,
    exact: 2,
  },
  {
    name: "certified, report",
    layer: { ...base, estimator: quantized({ bits: 8 }), candidates: 400, certify: "report" },
    binding: 40000,
    scored: 2,
    exact: 2,
  },
];

export function compileFor(layer: SoftmaxCase["layer"], profile: Profile) {
  const model = defineModel("case", { [LAYER]: softmax({ crossover: "ignore", ...layer, weight: LAYER }) });
  const { plan, files } = emit(check({ model, sites: [] }), [profile]);
  return { plan, sources: Object.fromEntries(files) };
}

/** The profile with bindings of at most so many bytes. */
export function withBinding(profile: WgslProfile, bytes: number): WgslProfile {
  return { ...profile, limits: { ...profile.limits, maxStorageBufferBindingSize: bytes } };
}
