// A softmax layer on a WebGPU device.

import type { SoftmaxInputs } from "../inputs.ts";
import type { WeightSource } from "../layer.ts";
import { type FloatSoftmaxResult, softmaxInputs, softmaxResult } from "../layer-data.ts";
import type { LayerProgram, SoftmaxPlan } from "../plan.ts";
import { createDeviceLayer } from "./device-layer.ts";

/** The caller's buffers of one launch; each may be larger than it has to be. */
export interface SoftmaxBuffers {
  /** f32 `[batch, inputs]`; usage STORAGE. */
  readonly x: GPUBuffer;
  /** u32 `[batch, k]`; usage STORAGE. */
  readonly indices: GPUBuffer;
  /** f32 `[batch, k]`; usage STORAGE. */
  readonly values: GPUBuffer;
  /** u32 `[batch]`, 1 where no row was missed; usage STORAGE. Only for a layer that is certified. */
  readonly certified?: GPUBuffer;
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
  readonly kind: "softmax";
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
  run(x: Float32Array, inputs?: SoftmaxInputs): Promise<FloatSoftmaxResult>;
  /** Frees every buffer that the layer owns. */
  destroy(): void;
}

/** @throws HireError as `createDeviceLayer`. */
export async function createGpuSoftmax(
  device: GPUDevice,
  name: string,
  plan: SoftmaxPlan,
  program: LayerProgram,
  sources: (file: string) => string,
  weights: WeightSource,
): Promise<GpuSoftmax> {
  const { encode, run, destroy } = await createDeviceLayer(device, name, plan, program, sources, weights);
  return {
    kind: plan.kind,
    plan,
    encode: (encoder, buffers) => encode(encoder, { ...buffers }),
    run: async (x, inputs = {}) => softmaxResult(await run(softmaxInputs(name, plan, x, inputs))),
    destroy,
  };
}
