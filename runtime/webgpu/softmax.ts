// A softmax layer on a WebGPU device.

import { HireError } from "../errors.ts";
import { checkInputs, maskBits, type SoftmaxInputs } from "../inputs.ts";
import { readWeights, type SoftmaxResult, tokenCount, type WeightSource } from "../layer.ts";
import type { BufferPlan, LayerProgram, SoftmaxPlan } from "../plan.ts";
import { BUFFER_USAGE, MAP_READ } from "./constants.ts";
import { createGuard, type Guard } from "./guard.ts";
import { type CompiledKernel, compileKernel } from "./program.ts";

/** The caller's buffers of one launch; each may be larger than it has to be. */
export interface SoftmaxBuffers {
  /** f32 `[batch, inputs]`; usage STORAGE. */
  readonly x: GPUBuffer;
  /** u32 `[batch, k]`; usage STORAGE. */
  readonly indices: GPUBuffer;
  /** f32 `[batch, k]`; usage STORAGE. */
  readonly values: GPUBuffer;
  /** Of a layer with a mask: bit r mod 32 of u32 r / 32 says whether row r may be returned; usage STORAGE. */
  readonly mask?: GPUBuffer;
  /** Of a layer with a multinomial sampler: f32 `[batch]` in [0, 1); usage STORAGE. */
  readonly uniforms?: GPUBuffer;
  /** Of a layer with logSumExp: f32 `[batch]`; usage STORAGE. */
  readonly lse?: GPUBuffer;
  /** Of a layer with a sampler: u32 `[batch]`; usage STORAGE. */
  readonly sampled?: GPUBuffer;
}

export interface GpuSoftmax {
  readonly plan: SoftmaxPlan;
  /**
   * Encodes one launch of `batch` tokens into the caller's encoder; nothing is submitted and nothing is read back.
   * @throws HireError HIRE-RUN-002 when a buffer is too small or lacks the usage STORAGE.
   */
  encode(encoder: GPUCommandEncoder, buffers: SoftmaxBuffers): void;
  /**
   * Runs any number of tokens, `batch` per launch, and reads the results back.
   * @param x `[tokens, inputs]`.
   * @throws HireError HIRE-RUN-002 (input), -004 (the device refused a command), -005 (the device was lost).
   */
  run(x: Float32Array, inputs?: SoftmaxInputs): Promise<SoftmaxResult>;
  /** Frees every buffer that the layer owns. */
  destroy(): void;
}

/**
 * Compiles a layer's kernels and uploads its weights.
 * @throws HireError HIRE-RUN-003 when the device refuses a kernel, -004 when it cannot hold the weights,
 * HIRE-PACK-006 when the weights are not those of the plan.
 */
export async function createGpuSoftmax(
  device: GPUDevice,
  name: string,
  plan: SoftmaxPlan,
  program: LayerProgram,
  sources: (file: string) => string,
  weights: WeightSource,
): Promise<GpuSoftmax> {
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
      const data = await readWeights(weights, tensor);
      const { slices = [tensor.bytes] } = program.buffers.find(({ name }) => name === tensor.role)!;
      await guard.issue(`uploading "${tensor.name}"`, () => uploadSlices(device, owned[tensor.role]!, slices, data));
    }
  } catch (thrown) {
    destroy();
    throw thrown;
  }

  const encode = (encoder: GPUCommandEncoder, external: SoftmaxBuffers) => {
    for (const buffer of program.buffers) checkExternal(name, buffer, external);
    const buffersOf = (launch: number) => (buffer: string) =>
      external[buffer as keyof SoftmaxBuffers] ?? owned[buffer]![Math.min(launch, owned[buffer]!.length - 1)]!;
    const pass = encoder.beginComputePass({ label: name });
    for (const { plan: kernel, pipeline, layout } of kernels) {
      pass.setPipeline(pipeline);
      kernel.launches.forEach(({ workgroups }, launch) => {
        pass.setBindGroup(0, bindGroup(device, kernel, layout, buffersOf(launch)));
        pass.dispatchWorkgroups(...workgroups);
      });
    }
    pass.end();
  };
  return {
    plan,
    encode,
    run: (x, inputs = {}) => runBatches({ device, guard, name, plan, program, encode }, x, inputs),
    destroy,
  };
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
    if (role !== "weight" && role !== "scratch") continue;
    owned[name] = (slices ?? [bytes]).map((each) => create(name, each, BUFFER_USAGE.STORAGE));
  }
  for (const { bindings, launches } of kernels) {
    const uniform = bindings.find(({ access }) => access === "uniform");
    if (!uniform) continue;
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
    entries: bindings.map((each, binding) => ({ binding, resource: { buffer: bufferOf(each.name) } })),
  });
}

interface Running {
  readonly device: GPUDevice;
  readonly guard: Guard;
  readonly name: string;
  readonly plan: SoftmaxPlan;
  readonly program: LayerProgram;
  readonly encode: GpuSoftmax["encode"];
}

/** Cuts the tokens into launches; all are submitted before the one wait for the results. */
async function runBatches(
  { device, guard, name, plan, program, encode }: Running,
  x: Float32Array,
  inputs: SoftmaxInputs,
): Promise<SoftmaxResult> {
  const { batch, k, rows } = plan;
  const tokens = tokenCount(name, plan, x);
  checkInputs(name, plan, tokens, inputs);
  const launches = Math.ceil(tokens / batch);
  const outputs = program.buffers.filter(({ role }) => role === "output");
  const resultBytes = outputs.reduce((sum, { bytes }) => sum + bytes, 0);
  const doing = `running layer "${name}"`;
  const temporary: GPUBuffer[] = [];
  const create = (size: number, usage: number) => {
    const buffer = device.createBuffer({ label: name, size: aligned(size), usage });
    temporary.push(buffer);
    return buffer;
  };
  /** Where the results of a launch lie among those of all launches: each output's one behind the other. */
  const places = outputs.map((_, i) => launches * outputs.slice(0, i).reduce((sum, { bytes }) => sum + bytes, 0));
  try {
    const results = await guard.issue(doing, () => {
      const buffers: Record<string, GPUBuffer> = {};
      for (const { name: buffer, role, bytes } of program.buffers) {
        if (role === "input") buffers[buffer] = create(bytes, BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_DST);
        if (role === "output") buffers[buffer] = create(bytes, BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC);
      }
      const results = create(launches * resultBytes, BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST);
      if (buffers.mask) device.queue.writeBuffer(buffers.mask, 0, maskBits(rows, inputs.mask));
      for (let launch = 0; launch < launches; launch++) {
        device.queue.writeBuffer(buffers.x!, 0, part(x, launch, batch * plan.inputs));
        if (buffers.uniforms) device.queue.writeBuffer(buffers.uniforms, 0, part(inputs.uniforms!, launch, batch));
        const encoder = device.createCommandEncoder({ label: name });
        encode(encoder, buffers as unknown as SoftmaxBuffers);
        outputs.forEach(({ name: output, bytes }, i) => {
          encoder.copyBufferToBuffer(buffers[output]!, 0, results, places[i]! + launch * bytes, bytes);
        });
        device.queue.submit([encoder.finish()]);
      }
      return results;
    });
    await guard.wait(doing, results.mapAsync(MAP_READ));
    const read = results.getMappedRange().slice(0);
    const placeOf = (output: string) => places[outputs.findIndex((each) => each.name === output)]!;
    return {
      indices: new Uint32Array(read, placeOf("indices"), tokens * k),
      values: new Float32Array(read, placeOf("values"), tokens * k),
      ...(plan.logSumExp && { lse: new Float32Array(read, placeOf("lse"), tokens) }),
      ...(plan.sampler && { sampled: new Uint32Array(read, placeOf("sampled"), tokens) }),
    };
  } finally {
    for (const buffer of temporary) buffer.destroy();
  }
}

/** The numbers of one launch. The last may have fewer tokens; the rest of its batch is zeros, its results are dropped. */
function part(numbers: Float32Array, launch: number, count: number): Float32Array<ArrayBuffer> {
  const part = new Float32Array(count);
  part.set(numbers.subarray(launch * count, (launch + 1) * count));
  return part;
}

function checkExternal(layer: string, { name, role, bytes }: BufferPlan, external: SoftmaxBuffers): void {
  if (role !== "input" && role !== "output") return;
  const buffer: GPUBuffer | undefined = external[name as keyof SoftmaxBuffers];
  if (buffer && buffer.size >= bytes && (buffer.usage & BUFFER_USAGE.STORAGE) !== 0) return;
  const given = buffer ? `has ${buffer.size} bytes and usage ${buffer.usage}` : "is not given";
  throw new HireError({
    code: "HIRE-RUN-002",
    message: `Buffer "${name}" of layer "${layer}" ${given}, but needs ${bytes} bytes and STORAGE`,
    fix: "Create the buffer with at least that size and GPUBufferUsage.STORAGE",
  });
}

/** Fills the slices of a tensor in order; each holds its share of the bytes. */
function uploadSlices(
  device: GPUDevice,
  slices: readonly GPUBuffer[],
  sizes: readonly number[],
  data: Uint8Array,
): void {
  let offset = 0;
  slices.forEach((buffer, slice) => {
    upload(device, buffer, data.subarray(offset, offset + sizes[slice]!));
    offset += sizes[slice]!;
  });
}

function upload(device: GPUDevice, buffer: GPUBuffer, data: Uint8Array): void {
  // writeBuffer takes whole 4-byte words; every packed tensor but an odd number of 2-byte rows has them.
  const whole = data.byteLength - (data.byteLength % 4);
  device.queue.writeBuffer(buffer, 0, data as Uint8Array<ArrayBuffer>, 0, whole);
  if (whole < data.byteLength) {
    const rest = new Uint8Array(4);
    rest.set(data.subarray(whole));
    device.queue.writeBuffer(buffer, whole, rest);
  }
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / 16) * 16;
}
