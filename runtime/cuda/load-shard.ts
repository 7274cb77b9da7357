// The layers of one shard on a CUDA device, whose exchange is NCCL's.

import { loadParts } from "../collective/load-shard.ts";
import type { WeightSource } from "../layer.ts";
import { type LoadOptions, sourceOf } from "../model.ts";
import { pickCudaProgram } from "./kernels.ts";
import type { CompiledCuda } from "./model.ts";
import type { NcclCollective } from "./nccl.ts";
import { type CudaShardedFfn, createCudaShardedFfn } from "./sharded-ffn.ts";
import { type CudaShardedSoftmax, createCudaShardedSoftmax } from "./sharded-softmax.ts";

export type CudaShardedLayer = CudaShardedSoftmax | CudaShardedFfn;

export interface CudaShard {
  /** The device profile whose kernels run. */
  readonly profile: string;
  readonly layers: Readonly<Record<string, CudaShardedLayer>>;
  /** Frees everything that the shard owns; the device and NCCL stay the caller's. */
  destroy(): void;
}

/**
 * Loads sharded layers as the shard whose number is NCCL's rank, onto its device.
 * @param weights of the shard's pack.
 * @param options whose layers are by default all that are sharded.
 * @throws HireError as `loadCudaModel`, HIRE-RUN-020 when there are not as many ranks as shards.
 */
export async function loadCudaShard(
  nccl: NcclCollective,
  compiled: CompiledCuda,
  weights: WeightSource,
  options: LoadOptions = {},
): Promise<CudaShard> {
  const { plan } = compiled;
  const { profile } = pickCudaProgram(plan, nccl.device, options.profile);
  const sources = { source: (file: string) => sourceOf(compiled, file), images: compiled.images, weights };
  const names = options.layers ?? Object.keys(plan.layers).filter((name) => plan.layers[name]!.sharding);
  const layers = await loadParts(plan, names, profile, nccl, (name, parts): Promise<CudaShardedLayer> => {
    const { whole } = parts;
    return whole.kind === "softmax"
      ? createCudaShardedSoftmax(nccl, name, whole, parts, sources)
      : createCudaShardedFfn(nccl, name, whole, parts, sources);
  });
  const destroy = () => {
    for (const layer of Object.values(layers)) layer.destroy();
  };
  return { profile, layers, destroy };
}
