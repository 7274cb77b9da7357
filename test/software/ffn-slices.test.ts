// Feed-forwards whose bundles exceed one binding, or whose groups exceed one grid, of a profile whose limits are made small.

import { afterAll, beforeAll, expect, test } from "vitest";
import { PROFILES, type WgslProfile } from "../../compiler/profiles.ts";
import type { NodeDevice } from "../../runtime/node/device.ts";
import { createReferenceFfn } from "../../runtime/reference/ffn.ts";
import { loadModel } from "../../runtime/webgpu/model.ts";
import { LAYER } from "../cases/compile-case.ts";
import { compileFfn } from "../cases/compile-ffn.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import { requestTestDevice } from "./device.ts";

let software: NodeDevice;
beforeAll(async () => {
  software = await requestTestDevice();
});
afterAll(() => software.close());

const DEFAULT = PROFILES.wgsl.at(-1)!;

function limited(limits: Partial<WgslProfile["limits"]>): WgslProfile {
  return { ...DEFAULT, limits: { ...DEFAULT.limits, ...limits } };
}

test.each([
  ["ffn: groups of 8", limited({ maxStorageBufferBindingSize: 8192 }), 4],
  ["ffn: common groups", limited({ maxStorageBufferBindingSize: 5000 }), 5],
  ["ffn: the last group smaller, other outputs than inputs", limited({ maxStorageBufferBindingSize: 6000 }), 7],
  ["ffn: groups of 1", limited({ maxComputeWorkgroupsPerDimension: 20 }), 5],
  ["ffn: dense", limited({ maxStorageBufferBindingSize: 4500 }), 6],
])("%s: slices give the reference's answer, and the bits of the whole", async (name, profile, slices) => {
  const ffnCase = FFN_CASES.find((each) => each.name === name)!;
  const whole = compileFfn(ffnCase, [DEFAULT]);
  const sliced = compileFfn(ffnCase, [profile]);
  const { buffers, kernels } = sliced.plan.programs[0]!.layers[LAYER]!;
  expect(kernels.find(({ template }) => template === "gather")!.launches.length).toBe(slices);
  for (const { slices: parts, bytes } of buffers) {
    expect(Math.max(...(parts ?? [bytes]))).toBeLessThanOrEqual(profile.limits.maxStorageBufferBindingSize);
  }
  expect(sliced.plan.packHash).toBe(whole.plan.packHash);

  const { layer, weights, data } = sliced;
  const results = [];
  for (const compiled of [whole, sliced]) {
    const model = await loadModel(software.device, compiled, weights);
    results.push(await model.ffn(LAYER).run(data.x));
    model.destroy();
  }
  expect(results[1]).toEqual(results[0]);
  const reference = await (await createReferenceFfn(LAYER, layer, weights)).run(data.x);
  expect(results[1]!.groups).toEqual(reference.groups);
  expect([...results[1]!.output]).toEqual([...reference.output].map((value) => value + 0));
});
