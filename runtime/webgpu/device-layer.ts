// What every layer does on a WebGPU device, whatever it computes: kernels compiled, weights uploaded, launches encoded on
// the caller's buffers, and tokens run in batches.

import { batchOf } from "../batches.ts";
import { HireError } from "../errors.ts";
import { readPieces, tokenCount, type WeightSource } from "../layer.ts";
import type { LayerInputs, LayerOutputs } from "../layer-data.ts";
import type { BufferPlan, LayerPlan, LayerProgram } from "../plan.ts";
import { BUFFER_USAGE, MAP_READ } from "./constants.ts";
import { createGuard, type Guard } from "./guard.ts";
import { type CompiledKernel, compileKernel } from "./program.ts";
import { tensorWriter } from "./tensor-writer.ts";

/** The caller's buffers of one launch, by the names that the plan gives them. */
export type ExternalBuffers = Readonly<Record<string, GPUBuffer>>;

export interface DeviceLayer {
  /**
   * Encodes one launch of `batch` tokens into the caller's encoder; nothing is submitted and nothing is read back.
   * @param timestampWrites of its pass.
   */
  encode(
    encoder: GPUCommandEncoder,
    external: ExternalBuffers,
    timestampWrites?: GPUComputePassTimestampWrites | undefined,
  ): void;
  /**
   * Runs any number of tokens, `batch` per launch, and reads back what the layer returns.
   */
  run(inputs: LayerInputs): Promise<LayerOutputs>;
  /** Frees every buffer that the layer owns. */
  destroy(): void;
}

/**
 * Compiles a layer's kernels and uploads its weights.
 * @throws HireError HIRE-RUN-003 when the device refuses a kernel, -004 when it cannot hold the weights,
 * HIRE-PACK-006 when the weights are not those of the plan.
 */
export async function createDeviceLayer(
  device: GPUDevice,
  name: string,
  plan: LayerPlan,
  program: LayerProgram,
  sources: (file: string) => string,
  weights: WeightSource,
): Promise<DeviceLayer> {
  const kernels = await Promise.all(
    program.kernels.map((kernel) => compileKernel(device, kernel, sources(kernel.file))),
  );
  const guard = createGuard(device);
  const owned = await guard.issue(`allocating layer "${name}"`, () => allocate(device, name, program));
  const destroy = () => {
    for (const buffer of Object.values(owned).flat()) buffer.destroy();
  };
  try {
    for (const tensor of plan.tensors) {
      const { slices = [tensor.bytes] } = program.buffers.find(({ name }) => name === tensor.role)!;
      const write = tensorWriter(device.queue, owned[tensor.role]!, slices);
      for await (const piece of readPieces(weights, tensor)) {
        await guard.issue(`uploading "${tensor.name}"`, () => write(piece));
      }
    }
  } catch (thrown) {
    destroy();
    throw thrown;
  }

  const encode: DeviceLayer["encode"] = (encoder, external, timestampWrites) => {
    for (const buffer of program.buffers) checkExternal(name, buffer, external);
    const grids = program.buffers.find(({ role }) => role === "indirect");
    const buffersOf = (launch: number) => (buffer: string) =>
      external[buffer] ?? owned[buffer]![Math.min(launch, owned[buffer]!.length - 1)]!;
    const pass = encoder.beginComputePass({ label: name, ...(timestampWrites && { timestampWrites }) });
    for (const { plan: kernel, pipeline, layout } of kernels) {
      pass.setPipeline(pipeline);
      kernel.launches.forEach(({ workgroups, indirect }, launch) => {
        pass.setBindGroup(0, bindGroup(device, kernel, layout, buffersOf(launch)));
        if (indirect === undefined) pass.dispatchWorkgroups(...workgroups);
        else pass.dispatchWorkgroupsIndirect(owned[grids!.name]![0]!, indirect);
      });
    }
    pass.end();
  };
  return { encode, run: (inputs) => runBatches(device, guard, name, plan, program, encode, inputs), destroy };
}

/**
 * The buffers that the layer owns, by name: weights and scratch, of which the sliced have one buffer per launch, and the
 * uniforms that tell a launch its slice.
 */
function allocate(device: GPUDevice, layer: string, { buffers, kernels }: LayerProgram): Record<string, GPUBuffer[]> {
  const create = (name: string, bytes: number, usage: number) =>
    device.createBuffer({ label: `${layer}.${name}`, size: aligned(bytes), usage: usage | BUFFER_USAGE.COPY_DST });
  const owned: Record<string, GPUBuffer[]> = {};
  for (const { name, role, bytes, slices } of buffers) {
    if (role === "input" || role === "output") continue;
    const usage = BUFFER_USAGE.STORAGE | (role === "indirect" ? BUFFER_USAGE.INDIRECT : 0);
    owned[name] = (slices ?? [bytes]).map((each) => create(name, each, usage));
  }
  for (const { bindings, launches } of kernels) {
    const uniform = bindings.find(({ access }) => access === "uniform");
    // Kernels with a uniform of one name are launched on the same slices.
    if (!uniform || owned[uniform.name]) continue;
    owned[uniform.name] = launches.map(({ first = 0 }) => {
      const buffer = create(uniform.name, 4, BUFFER_USAGE.UNIFORM);
      device.queue.writeBuffer(buffer, 0, new Uint32Array([first]));
      return buffer;
    });
  }
  return owned;
}

function bindGroup(
  device: GPUDevice,
  { name, bindings }: CompiledKernel["plan"],
  layout: GPUBindGroupLayout,
  bufferOf: (name: string) => GPUBuffer,
): GPUBindGroup {
  return device.createBindGroup({
    label: name,
    layout,
    entries: bindings.map(({ name, buffer = name }, binding) => ({ binding, resource: { buffer: bufferOf(buffer) } })),
  });
}

/** Cuts the tokens into launches; all are submitted before the one wait for the results. */
async function runBatches(
  device: GPUDevice,
  guard: Guard,
  name: string,
  plan: LayerPlan,
  { buffers: planned }: LayerProgram,
  encode: DeviceLayer["encode"],
  inputs: LayerInputs,
): Promise<LayerOutputs> {
  const { batch } = plan;
  const tokens = tokenCount(name, plan, inputs.x);
  const launches = Math.ceil(tokens / batch);
  const outputs = planned.filter(({ role }) => role === "output");
  const doing = `running layer "${name}"`;
  const temporary: GPUBuffer[] = [];
  const create = (size: number, usage: number) => {
    const buffer = device.createBuffer({ label: name, size: aligned(size), usage });
    temporary.push(buffer);
    return buffer;
  };
  try {
    const results = await guard.issue(doing, () => {
      const buffers: Record<string, GPUBuffer> = {};
      const results: Record<string, GPUBuffer> = {};
      for (const { name, role, bytes } of planned) {
        if (role === "input") buffers[name] = create(bytes, BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_DST);
        if (role !== "output") continue;
        buffers[name] = create(bytes, BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC);
        results[name] = create(launches * bytes, BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST);
      }
      for (let launch = 0; launch < launches; launch++) {
        for (const input of planned) {
          if (input.role !== "input" || (input.shared && launch > 0)) continue;
          const values = inputs[input.name]!;
          const part = input.shared ? values : batchOf(values, tokens, launch, batch);
          device.queue.writeBuffer(buffers[input.name]!, 0, part as Float32Array<ArrayBuffer>);
        }
        const encoder = device.createCommandEncoder({ label: name });
        encode(encoder, buffers);
        for (const { name, bytes } of outputs) {
          encoder.copyBufferToBuffer(buffers[name]!, 0, results[name]!, launch * bytes, bytes);
        }
        device.queue.submit([encoder.finish()]);
      }
      return results;
    });
    await guard.wait(doing, Promise.all(Object.values(results).map((buffer) => buffer.mapAsync(MAP_READ))));
    return Object.fromEntries(
      outputs.map(({ name, bytes }) => [name, results[name]!.getMappedRange().slice(0, (bytes / batch) * tokens)]),
    );
  } finally {
    for (const buffer of temporary) buffer.destroy();
  }
}

function checkExternal(layer: string, { name, role, bytes }: BufferPlan, external: ExternalBuffers): void {
  if (role !== "input" && role !== "output") return;
  const buffer: GPUBuffer | undefined = external[name];
  if (buffer && buffer.size >= bytes && (buffer.usage & BUFFER_USAGE.STORAGE) !== 0) return;
  const given = buffer ? `has ${buffer.size} bytes and usage ${buffer.usage}` : "is not given";
  throw new HireError({
    code: "HIRE-RUN-002",
    message: `Buffer "${name}" of layer "${layer}" ${given}, but needs ${bytes} bytes and STORAGE`,
    fix: "Create the buffer with at least that size and GPUBufferUsage.STORAGE",
  });
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / 16) * 16;
}
