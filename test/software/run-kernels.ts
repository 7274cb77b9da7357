// One launch, with every buffer in the test's hands: scratch holds garbage before, and all of it can be read after.

import type { SoftmaxInputs } from "../../runtime/inputs.ts";
import { readWeights, type WeightSource } from "../../runtime/layer.ts";
import type { LayerPlan, Plan } from "../../runtime/plan.ts";
import { BUFFER_USAGE, MAP_READ } from "../../runtime/webgpu/constants.ts";
import { compileKernel, pickProgram } from "../../runtime/webgpu/program.ts";
import { LAYER } from "../cases/compile-case.ts";
import { inputWords } from "../cases/input-words.ts";

/** Bits that no launch may depend on: NaN as a float, larger than any row as a number. */
const GARBAGE = 0xfff0_dead;

/**
 * Runs the kernels of a case one by one on a batch of tokens.
 * @param x `[batch, inputs]`.
 * @returns the words of every buffer that is not a weight, by name.
 */
export async function runKernels(
  device: GPUDevice,
  {
    plan,
    sources,
    layer,
    weights,
    data,
  }: {
    readonly plan: Plan;
    readonly sources: Readonly<Record<string, string>>;
    readonly layer: LayerPlan;
    readonly weights: WeightSource;
    readonly data: object;
  },
  profile: string,
  x: Float32Array,
): Promise<ReadonlyMap<string, Uint32Array>> {
  const program = pickProgram(plan, device, profile).layers[LAYER]!;
  const kernels = await Promise.all(
    program.kernels.map((kernel) => compileKernel(device, kernel, sources[kernel.file]!)),
  );
  const usage = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_DST | BUFFER_USAGE.COPY_SRC;
  const indirectUsage = usage | BUFFER_USAGE.INDIRECT;
  const buffers = new Map<string, GPUBuffer>();
  for (const { name, role, bytes } of program.buffers) {
    const words = new Uint32Array(Math.ceil(bytes / 4)).fill(GARBAGE);
    const tensor = layer.tensors.find((each) => each.role === name);
    if (role === "weight") new Uint8Array(words.buffer).set(await readWeights(weights, tensor!));
    if (role === "input") words.set(inputWords(name, layer, x, (data as { readonly taken?: SoftmaxInputs }).taken));
    const buffer = device.createBuffer({
      size: words.byteLength,
      usage: role === "indirect" ? indirectUsage : usage,
    });
    device.queue.writeBuffer(buffer, 0, words);
    buffers.set(name, buffer);
  }
  const encoder = device.createCommandEncoder();
  for (const { plan: kernel, pipeline, layout } of kernels) {
    const entries = kernel.bindings.map(({ name, buffer = name }, binding) => ({
      binding,
      resource: { buffer: buffers.get(buffer)! },
    }));
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
    const { workgroups, indirect } = kernel.launches[0]!;
    if (indirect === undefined) pass.dispatchWorkgroups(...workgroups);
    else pass.dispatchWorkgroupsIndirect(buffers.get("fallback_grids")!, indirect);
    pass.end();
  }
  const copies = new Map<string, GPUBuffer>();
  for (const { name, role } of program.buffers) {
    if (role === "weight") continue;
    const { size } = buffers.get(name)!;
    const copy = device.createBuffer({ size, usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST });
    encoder.copyBufferToBuffer(buffers.get(name)!, 0, copy, 0, size);
    copies.set(name, copy);
  }
  device.queue.submit([encoder.finish()]);
  const words = new Map<string, Uint32Array>();
  for (const [name, copy] of copies) {
    await copy.mapAsync(MAP_READ);
    words.set(name, new Uint32Array(copy.getMappedRange().slice(0)));
  }
  for (const buffer of [...buffers.values(), ...copies.values()]) buffer.destroy();
  return words;
}
