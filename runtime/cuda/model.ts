// A compiled model on a CUDA device, in Node.

import type { RawLoader } from "../collective/raw-layer.ts";
import type { WeightSource } from "../layer.ts";
import { type CompiledSources, type LoadOptions, loadLayers, sourceOf } from "../model.ts";
import type { CompiledImages } from "./compiled-images.ts";
import type { CudaDevice } from "./device.ts";
import { createCudaLayer } from "./device-layer.ts";
import { type CudaFfn, createCudaFfn } from "./ffn.ts";
import { pickCudaProgram } from "./kernels.ts";
import { type CudaSoftmax, createCudaSoftmax } from "./softmax.ts";

/** What `hirec compile --target cuda` makes; `readCompiledFolder` reads it. */
export interface CompiledCuda extends CompiledSources {
  /** Kernels compiled ahead; what they lack, NVRTC or nvcc compiles when the model is loaded. */
  readonly images?: CompiledImages;
}

export type CudaLayer = CudaSoftmax | CudaFfn;

export interface CudaModel {
  /** The device profile whose kernels run. */
  readonly profile: string;
  readonly layers: Readonly<Record<string, CudaLayer>>;
  /** The output head of that name. @throws HireError HIRE-RUN-008 when there is none. */
  softmax(name: string): CudaSoftmax;
  /** The feed-forward of that name. @throws HireError HIRE-RUN-008 when there is none. */
  ffn(name: string): CudaFfn;
  /** Frees everything that the model owns; the device stays the caller's. */
  destroy(): void;
}

/**
 * Loads a compiled model onto a CUDA device.
 * @param weights bytes of each packed tensor, for example from `openPack`.
 * @throws HireError HIRE-RUN-003 to -006, HIRE-RUN-008 (no such layer), HIRE-RUN-011 (nothing can compile its kernels), -012
 * (an image does not fit the card), -013 (too little memory), HIRE-PLAN-008 (a source is missing).
 */
export async function loadCudaModel(
  device: CudaDevice,
  compiled: CompiledCuda,
  weights: WeightSource,
  options: LoadOptions = {},
): Promise<CudaModel> {
  const program = pickCudaProgram(compiled.plan, device, options.profile);
  const sources = { source: (file: string) => sourceOf(compiled, file), images: compiled.images, weights };
  const layers = await loadLayers(compiled.plan, options.layers, async (name, layer): Promise<CudaLayer> => {
    const layerProgram = program.layers[name]!;
    return layer.kind === "softmax"
      ? createCudaSoftmax(device, name, layer, layerProgram, sources)
      : createCudaFfn(device, name, layer, layerProgram, sources);
  });
  return { profile: program.profile, ...layers };
}

/**
 * What sharded layers need of a CUDA device.
 * @param weights of the shard's pack.
 * @throws HireError HIRE-RUN-006 when the card supports none of the programs.
 */
export function cudaLoader(
  device: CudaDevice,
  compiled: CompiledCuda,
  weights: WeightSource,
  profile?: string,
): RawLoader {
  const sources = { source: (file: string) => sourceOf(compiled, file), images: compiled.images, weights };
  return {
    profile: pickCudaProgram(compiled.plan, device, profile).profile,
    load: (name, plan, program) => createCudaLayer(device, name, plan, program, sources),
  };
}
