// What every layer does on a CUDA device, whatever it computes: kernels loaded, weights uploaded, launches put on the
// caller's stream, and tokens run in batches.

import { readWeights, type WeightSource } from "../layer.ts";
import type { LayerInputs, LayerOutputs } from "../layer-data.ts";
import type { KernelPlan, LayerPlan, LayerProgram } from "../plan.ts";
import type { CompiledImages } from "./compiled-images.ts";
import type { CudaDevice } from "./device.ts";
import type { DevicePointer } from "./driver.ts";
import { loadKernels } from "./kernels.ts";
import { allocateBytes, type CudaMemory, checkMemory, type Wanted } from "./memory.ts";
import { createRunner } from "./runner.ts";
import { type CudaStream, finish } from "./stream.ts";

/** The caller's memory of one launch, by the names that the plan gives the buffers. */
export type ExternalMemory = Readonly<Record<string, CudaMemory | undefined>>;

export interface CudaDeviceLayer {
  /** Puts one launch of `batch` tokens on the caller's stream; nothing is waited for and nothing is read back. */
  encode(stream: CudaStream, external: ExternalMemory): void;
  /** Runs any number of tokens, `batch` per launch, on the device's own stream, and reads back what the layer returns. */
  run(inputs: LayerInputs): Promise<LayerOutputs>;
  /** Frees everything that the layer owns. */
  destroy(): void;
}

/** Where a layer's kernels and weights are from. */
export interface CudaLayerSources {
  readonly source: (file: string) => string;
  readonly images?: CompiledImages | undefined;
  readonly weights: WeightSource;
}

/**
 * Loads a layer's kernels and uploads its weights.
 * @throws HireError HIRE-RUN-003, -011 and -012 of `loadKernels`, HIRE-RUN-013 when the device cannot hold the layer,
 * HIRE-PACK-006 when the weights are not those of the plan.
 */
export async function createCudaLayer(
  device: CudaDevice,
  name: string,
  plan: LayerPlan,
  program: LayerProgram,
  { source, images, weights }: CudaLayerSources,
): Promise<CudaDeviceLayer> {
  const { kernels, unload } = await loadKernels(device, program.kernels, source, images);
  let owned: OwnedMemory;
  try {
    owned = allocate(device, name, program);
  } catch (thrown) {
    unload();
    throw thrown;
  }
  const launch = (stream: bigint, external: Readonly<Record<string, DevicePointer>>) =>
    device.call(`launching layer "${name}"`, (driver) => {
      for (const { plan: kernel, function: handle, early } of kernels) {
        const pointers = kernel.bindings.map(
          ({ name: variable, buffer = variable }) => external[buffer] ?? owned.at[buffer]!,
        );
        for (const { workgroups } of kernel.launches) {
          driver.launch(handle, workgroups, kernel.workgroupSize, pointers, stream, early);
        }
      }
    });
  const runner = createRunner(device, name, plan, program, launch);
  const destroy = () => {
    runner.destroy();
    owned.free();
    unload();
  };
  try {
    for (const tensor of plan.tensors) {
      await upload(device, owned.at[tensor.role]!, await readWeights(weights, tensor), `uploading "${tensor.name}"`);
    }
  } catch (thrown) {
    destroy();
    throw thrown;
  }
  const wanted = externalOf(program);
  return {
    encode: ({ handle }, external) => launch(handle, checkMemory(device, name, wanted, external)),
    run: runner.run,
    destroy,
  };
}

interface OwnedMemory {
  readonly at: Readonly<Record<string, DevicePointer>>;
  free(): void;
}

/** Allocations are aligned to this anyway (CUDA C++ Programming Guide, "Device Memory Accesses"). */
const ALIGNMENT = 256;

/** Weights and scratch, as one allocation: it fits as a whole or not at all. Nothing is sliced in CUDA. */
function allocate(device: CudaDevice, layer: string, { buffers }: LayerProgram): OwnedMemory {
  const owned = buffers.filter(({ role }) => role !== "input" && role !== "output");
  let bytes = 0;
  const offsets = owned.map((buffer) => {
    const offset = bytes;
    bytes += Math.ceil(buffer.bytes / ALIGNMENT) * ALIGNMENT;
    return [buffer.name, offset] as const;
  });
  const base = allocateBytes(device, bytes, `Layer "${layer}"`);
  return {
    at: Object.fromEntries(offsets.map(([name, offset]) => [name, base + BigInt(offset)])),
    free: () => device.call(`freeing layer "${layer}"`, (driver) => driver.free(base)),
  };
}

/** Bytes that are copied at once; in between the event loop goes on. */
const PIECE_BYTES = 64 * 2 ** 20;

async function upload(device: CudaDevice, to: DevicePointer, data: Uint8Array, doing: string): Promise<void> {
  const stream = device.stream.handle;
  for (let at = 0; at < data.byteLength; at += PIECE_BYTES) {
    const piece = data.subarray(at, at + PIECE_BYTES);
    device.call(doing, (driver) => driver.copyToDevice(to + BigInt(at), piece, stream));
    await finish(device, stream, doing);
  }
}

/** What the caller of `encode` passes, with the dtype that kernels read or write it as. */
function externalOf({ buffers, kernels }: LayerProgram): Wanted[] {
  const types = kernels.flatMap(({ bindings }: KernelPlan) =>
    bindings.map(({ name, buffer = name, type }) => [buffer, type.match(/f32|u32|i32/)?.[0]] as const),
  );
  return buffers
    .filter(({ role }) => role === "input" || role === "output")
    .map(({ name, bytes }) => ({ name, bytes, dtype: types.find(([buffer]) => buffer === name)?.[1] ?? "u32" }));
}
