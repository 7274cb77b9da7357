// A feed-forward layer on a WebGPU device.

import type { WeightSource } from "../layer.ts";
import { type FloatFfnResult, ffnResult } from "../layer-data.ts";
import type { FfnPlan, LayerProgram } from "../plan.ts";
import { createDeviceLayer } from "./device-layer.ts";

/** The caller's buffers of one launch; each may be larger than it has to be. */
export interface FfnBuffers {
  /** f32 `[batch, inputs]`; usage STORAGE. */
  readonly x: GPUBuffer;
  /** f32 `[batch, outputs]`; usage STORAGE. */
  readonly output: GPUBuffer;
  /** u32 `[batch, k]`: the groups that were selected, best first; usage STORAGE. */
  readonly groups: GPUBuffer;
}

export interface GpuFfn {
  readonly kind: "ffn";
  readonly plan: FfnPlan;
  /**
   * Encodes one launch of `batch` tokens into the caller's encoder; nothing is submitted and nothing is read back.
   * @throws HireError HIRE-RUN-002 when a buffer is too small or lacks the usage STORAGE.
   */
  encode(encoder: GPUCommandEncoder, buffers: FfnBuffers): void;
  /**
   * Runs any number of tokens, `batch` per launch, and reads the results back.
   * @param x `[tokens, inputs]`.
   * @throws HireError HIRE-RUN-002 (input), -004 (the device refused a command), -005 (the device was lost).
   */
  run(x: Float32Array): Promise<FloatFfnResult>;
  /** Frees every buffer that the layer owns. */
  destroy(): void;
}

/** @throws HireError as `createDeviceLayer`. */
export async function createGpuFfn(
  device: GPUDevice,
  name: string,
  plan: FfnPlan,
  program: LayerProgram,
  sources: (file: string) => string,
  weights: WeightSource,
): Promise<GpuFfn> {
  const { encode, run, destroy } = await createDeviceLayer(device, name, plan, program, sources, weights);
  return {
    kind: plan.kind,
    plan,
    encode: (encoder, { x, output, groups }) => encode(encoder, { x, output, groups }),
    run: async (x) => ffnResult(await run({ x })),
    destroy,
  };
}
