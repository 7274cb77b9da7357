// A softmax layer on a CUDA device.

import type { SoftmaxInputs } from "../inputs.ts";
import { type FloatSoftmaxResult, softmaxInputs, softmaxResult } from "../layer-data.ts";
import type { LayerProgram, SoftmaxPlan } from "../plan.ts";
import type { CudaDevice } from "./device.ts";
import { type CudaLayerSources, createCudaLayer } from "./device-layer.ts";
import type { CudaMemory } from "./memory.ts";
import type { CudaStream } from "./stream.ts";

/** The caller's memory of one launch; each may be larger than it has to be, and lies at a multiple of 16. */
export interface SoftmaxMemory {
  /** f32 `[batch, inputs]`. */
  readonly x: CudaMemory<"f32">;
  /** u32 `[batch, k]`. */
  readonly indices: CudaMemory<"u32">;
  /** f32 `[batch, k]`. */
  readonly values: CudaMemory<"f32">;
  /** u32 `[batch]`, 1 where no row was missed. Only for a layer that is certified. */
  readonly certified?: CudaMemory<"u32">;
  /** Of a layer with a mask: bit r mod 32 of u32 r / 32 says whether row r may be returned; `maskBits` makes it. */
  readonly mask?: CudaMemory<"u32">;
  /** Of a layer with a multinomial sampler: f32 `[batch]` in [0, 1). */
  readonly uniforms?: CudaMemory<"f32">;
  /** Of a layer with logSumExp: f32 `[batch]`. */
  readonly lse?: CudaMemory<"f32">;
  /** Of a layer with a sampler: u32 `[batch]`. */
  readonly sampled?: CudaMemory<"u32">;
}

export interface CudaSoftmax {
  readonly kind: "softmax";
  readonly plan: SoftmaxPlan;
  /**
   * Puts one launch of `batch` tokens on a stream; nothing is waited for and nothing is read back. The launches of a layer
   * share memory between their kernels, so those of one layer must not overlap: keep them on one stream.
   * @throws HireError HIRE-RUN-002 when memory is missing, of another dtype, null, misaligned, too small or used twice.
   */
  encode(stream: CudaStream, memory: SoftmaxMemory): void;
  /**
   * Runs any number of tokens, `batch` per launch, on the device's own stream, and reads the results back.
   * @param x `[tokens, inputs]`.
   * @throws HireError HIRE-RUN-002 (input), -004 (the driver refused), -005 (the device was lost), -013 (too little memory).
   */
  run(x: Float32Array, inputs?: SoftmaxInputs): Promise<FloatSoftmaxResult>;
  /** Frees everything that the layer owns. */
  destroy(): void;
}

/** @throws HireError as `createCudaLayer`. */
export async function createCudaSoftmax(
  device: CudaDevice,
  name: string,
  plan: SoftmaxPlan,
  program: LayerProgram,
  sources: CudaLayerSources,
): Promise<CudaSoftmax> {
  const { encode, run, destroy } = await createCudaLayer(device, name, plan, program, sources);
  return {
    kind: plan.kind,
    plan,
    encode: (stream, memory) => encode(stream, { ...memory }),
    run: async (x, inputs = {}) => softmaxResult(await run(softmaxInputs(name, plan, x, inputs))),
    destroy,
  };
}
