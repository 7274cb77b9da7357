// Every function of the table in WGSL, on the software adapter: what it makes of numbers of every kind is what it means, as
// far as WGSL's own functions are exact.

import { afterAll, beforeAll, expect, test } from "vitest";
import { scalarsToWgsl } from "../../compiler/scalar/wgsl.ts";
import type { NodeDevice } from "../../runtime/node/device.ts";
import type { ScalarFunction } from "../../runtime/scalar.ts";
import { BUFFER_USAGE, MAP_READ } from "../../runtime/webgpu/constants.ts";
import { FUNCTIONS, wrongScalars } from "../cases/judge-scalar.ts";
import { NUMBERS } from "../cases/scalar-cases.ts";
import { rowOf } from "../cases/selected.ts";
import { requestTestDevice } from "./device.ts";

let software: NodeDevice;
let results: Float32Array;
beforeAll(async () => {
  software = await requestTestDevice();
  results = await computeAll(software.device, Object.fromEntries(FUNCTIONS.map(({ id, scalar }) => [id, scalar])));
});
afterAll(() => software?.close());

test.each(FUNCTIONS.map((each, i) => [each.name, each, i] as const))("%s", (_, each, i) => {
  expect(wrongScalars(each, rowOf(results, NUMBERS.length, i), true)).toEqual([]);
});

/** `[functions, numbers]`, in one launch: each kernel of its own would take longer to compile than all of them together. */
async function computeAll(device: GPUDevice, byName: Readonly<Record<string, ScalarFunction>>): Promise<Float32Array> {
  const lines = Object.keys(byName).map((id, i) => `  results[${i * NUMBERS.length}u + at.x] = ${id}(numbers[at.x]);`);
  const code = `@group(0) @binding(0) var<storage, read> numbers: array<f32, ${NUMBERS.length}>;
@group(0) @binding(1) var<storage, read_write> results: array<f32>;
${scalarsToWgsl(byName)}
@compute @workgroup_size(1) fn all(@builtin(workgroup_id) at: vec3<u32>) {
${lines.join("\n")}
}`;
  const pipeline = await device.createComputePipelineAsync({
    layout: "auto",
    compute: { module: device.createShaderModule({ code }) },
  });
  const { STORAGE, COPY_DST, COPY_SRC } = BUFFER_USAGE;
  const bytes = lines.length * NUMBERS.byteLength;
  const numbers = device.createBuffer({ size: NUMBERS.byteLength, usage: STORAGE | COPY_DST });
  device.queue.writeBuffer(numbers, 0, NUMBERS as Float32Array<ArrayBuffer>);
  const computed = device.createBuffer({ size: bytes, usage: STORAGE | COPY_SRC });
  const copy = device.createBuffer({ size: bytes, usage: COPY_DST | BUFFER_USAGE.MAP_READ });
  const entries = [numbers, computed].map((buffer, binding) => ({ binding, resource: { buffer } }));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(NUMBERS.length);
  pass.end();
  encoder.copyBufferToBuffer(computed, 0, copy, 0, bytes);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(MAP_READ);
  return new Float32Array(copy.getMappedRange().slice(0));
}
