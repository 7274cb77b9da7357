// Matrices larger than one binding, on a profile whose bindings are made small: the same layers, whole and in slices.

import { afterAll, beforeAll, expect, test } from "vitest";
import { PROFILES } from "../../compiler/profiles.ts";
import { quantized } from "../../dsl/index.ts";
import type { NodeDevice } from "../../runtime/node/device.ts";
import type { SoftmaxPlan } from "../../runtime/plan.ts";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { loadModel } from "../../runtime/webgpu/model.ts";
import { LAYER, packed } from "../cases/compile-case.ts";
import { integers } from "../cases/fills.ts";
import { compileFor, SLICED_CASES, withBinding } from "../cases/sliced-cases.ts";
import { caseData } from "../cases/softmax-case.ts";
import { requestTestDevice } from "./device.ts";

let software: NodeDevice;
beforeAll(async () => {
  software = await requestTestDevice();
});
afterAll(() => software.close());

const grid = SLICED_CASES.flatMap((each) => PROFILES.wgsl.map((profile) => ({ ...each, profile })));

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
    const whole = compileFor(layer, profile);
    const sliced = compileFor(layer, withBinding(profile, binding));

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

    const softmaxPlan = sliced.plan.layers[LAYER] as SoftmaxPlan;
    const weights = packed(softmaxPlan, data);
    const reference = await (await createReferenceSoftmax(LAYER, softmaxPlan, weights)).run(data.x);
    const results = [];
    for (const compiled of [whole, sliced]) {
      const model = await loadModel(software.device, compiled, weights);
      results.push(await model.softmax(LAYER).run(data.x));
      model.destroy();
    }
    expect(results[1]!.indices).toEqual(reference.indices);
    expect(results[1]).toEqual(results[0]);
  },
);

test("one pack serves the whole and the sliced program", () => {
  const { layer, binding } = SLICED_CASES[0]!;
  const profile = PROFILES.wgsl.at(-1)!;
  expect(compileFor(layer, withBinding(profile, binding)).plan.packHash).toBe(compileFor(layer, profile).plan.packHash);
});

test("the heads of Gemma 2 2B and Gemma 3 compile for the default profile, every binding within its limit", () => {
  for (const [rows, inputs] of [
    [256000, 2304],
    [262144, 2304],
    [262144, 1152],
  ] as const) {
    for (const estimator of [quantized({ bits: 4 }), quantized({ bits: 8, group: 128 })]) {
      const layer = { inputs, rows, dtype: "bf16", estimator, k: 64, candidates: 256 } as const;
      const { plan } = compileFor(layer, PROFILES.wgsl.at(-1)!);
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
