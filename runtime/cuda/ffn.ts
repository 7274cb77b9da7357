// A feed-forward layer on a CUDA device.

import { type FloatFfnResult, ffnResult } from "../layer-data.ts";
import type { FfnPlan, LayerProgram } from "../plan.ts";
import type { CudaDevice } from "./device.ts";
import { type CudaLayerSources, createCudaLayer } from "./device-layer.ts";
import type { CudaMemory } from "./memory.ts";
import type { CudaStream } from "./stream.ts";

/** The caller's memory of one launch; each may be larger than it has to be, and lies at a multiple of 16. */
export interface FfnMemory {
  /** f32 `[batch, inputs]`. */
  readonly x: CudaMemory<"f32">;
  /** f32 `[batch, outputs]`; not the memory of `x`. */
  readonly output: CudaMemory<"f32">;
  /** u32 `[batch, k]`: the groups that were selected, best first. */
  readonly groups: CudaMemory<"u32">;
}

export interface CudaFfn {
  readonly kind: "ffn";
  readonly plan: FfnPlan;
  /**
   * Puts one launch of `batch` tokens on a stream; nothing is waited for and nothing is read back. The launches of a layer
   * share memory between their kernels, so those of one layer must not overlap: keep them on one stream.
   * @throws HireError HIRE-RUN-002 when memory is missing, of another dtype, null, misaligned, too small or used twice.
   */
  encode(stream: CudaStream, memory: FfnMemory): void;
  /**
   * Runs any number of tokens, `batch` per launch, on the device's own stream, and reads the results back.
   * @param x `[tokens, inputs]`.
   * @throws HireError HIRE-RUN-002 (input), -004 (the driver refused), -005 (the device was lost), -013 (too little memory).
   */
  run(x: Float32Array): Promise<FloatFfnResult>;
  /** Frees everything that the layer owns. */
  destroy(): void;
}

/** @throws HireError as `createCudaLayer`. */
export async function createCudaFfn(
  device: CudaDevice,
  name: string,
  plan: FfnPlan,
  program: LayerProgram,
  sources: CudaLayerSources,
): Promise<CudaFfn> {
  const { encode, run, destroy } = await createCudaLayer(device, name, plan, program, sources);
  return {
    kind: plan.kind,
    plan,
    encode: (stream, memory) => encode(stream, { ...memory }),
    run: async (x) => ffnResult(await run({ x })),
    destroy,
  };
}
