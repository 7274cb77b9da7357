// Matrices larger than one binding, on a profile whose bindings are made small: the same layers, whole and in slices.

import { afterAll, beforeAll, expect, test } from "vitest";
import { check } from "../../compiler/check.ts";
import { emit } from "../../compiler/emit.ts";
import { PROFILES, type Profile } from "../../compiler/profiles.ts";
import { defineModel, dense, exact, quantized, softmax } from "../../dsl/index.ts";
import { type NodeDevice, requestNodeDevice } from "../../runtime/node/device.ts";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { loadModel } from "../../runtime/webgpu/model.ts";
import { LAYER, packed } from "../cases/compile-case.ts";
import { integers } from "../cases/fills.ts";
import { caseData, type SoftmaxCase } from "../cases/softmax-case.ts";

const base = { inputs: 40, rows: 1000, dtype: "bf16", k: 9, candidates: 70, batch: 3 } as const;

/** Each with the largest binding in bytes, and how many slices of the scored copy and of the exact rows that makes. */
const LAYERS: readonly { name: string; layer: SoftmaxCase["layer"]; binding: number; scored: number; exact: number }[] =
  [
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
  ];

let software: NodeDevice;
beforeAll(async () => {
  software = await requestNodeDevice("software");
});
afterAll(() => software.close());

function compileWith(layer: SoftmaxCase["layer"], profile: Profile) {
  const model = defineModel("case", { [LAYER]: softmax({ ...layer, weight: LAYER }) });
  const { plan, files } = emit(check({ model, sites: [] }), [profile]);
  return { plan, sources: Object.fromEntries(files) };
}

const grid = LAYERS.flatMap((each) => PROFILES.map((profile) => ({ ...each, profile })));

test.each(grid)(
  "$name: slices give the reference's answer, and the bits of the whole ($profile.name)",
  async (each) => {
    const { layer, binding, profile } = each;
    const data = caseData({
      name: each.name,
      layer,
      tokens: 7,
      weights: integers(9),
      inputs: integers(9),
      comparison: "exact",
    });
    const small: Profile = { ...profile, limits: { ...profile.limits, maxStorageBufferBindingSize: binding } };
    const whole = compileWith(layer, profile);
    const sliced = compileWith(layer, small);

    const { buffers } = sliced.plan.programs[0]!.layers[LAYER]!;
    for (const { slices, bytes } of buffers) {
      expect((slices ?? [bytes]).reduce((sum, slice) => sum + slice, 0)).toBe(bytes);
      expect(Math.max(...(slices ?? [bytes]))).toBeLessThanOrEqual(binding);
    }
    const slicesOf = (...names: string[]) => buffers.find(({ name }) => names.includes(name))?.slices?.length ?? 1;
    expect({ scored: slicesOf("codes", "weights"), exact: slicesOf("exact") }).toEqual({
      scored: each.scored,
      exact: each.exact,
    });

    const softmaxPlan = sliced.plan.layers[LAYER]!;
    const weights = packed(softmaxPlan, data);
    const reference = await (await createReferenceSoftmax(LAYER, softmaxPlan, weights)).run(data.x);
    const results = [];
    for (const compiled of [whole, sliced]) {
      const model = await loadModel(software.device, compiled, weights);
      results.push(await model.layers[LAYER]!.run(data.x));
      model.destroy();
    }
    expect(results[1]!.indices).toEqual(reference.indices);
    expect(results[1]).toEqual(results[0]);
  },
);

test("one pack serves the whole and the sliced program", () => {
  const [{ layer, binding }] = LAYERS as [(typeof LAYERS)[number]];
  const profile = PROFILES.at(-1)!;
  const small: Profile = { ...profile, limits: { ...profile.limits, maxStorageBufferBindingSize: binding } };
  expect(compileWith(layer, small).plan.packHash).toBe(compileWith(layer, profile).plan.packHash);
});

test("the heads of Gemma 2 2B and Gemma 3 compile for the default profile, every binding within its limit", () => {
  for (const [rows, inputs] of [
    [256000, 2304],
    [262144, 2304],
    [262144, 1152],
  ] as const) {
    for (const estimator of [quantized({ bits: 4 }), quantized({ bits: 8, group: 128 })]) {
      const layer = { inputs, rows, dtype: "bf16", estimator, k: 64, candidates: 256 } as const;
      const { plan } = compileWith(layer, PROFILES.at(-1)!);
      const { buffers, kernels } = plan.programs[0]!.layers[LAYER]!;
      expect(Math.max(...buffers.flatMap(({ slices, bytes }) => slices ?? [bytes]))).toBeLessThanOrEqual(2 ** 27);
      expect(kernels.map(({ name }) => name)).toEqual([
        "head_score_select",
        "head_select",
        "head_rescore",
        "head_topk",
      ]);
    }
  }
});
