// Several ranks of NCCL in this process, each with a CUDA device without a GPU.

import type { Collective } from "../../runtime/collective/collective.ts";
import { localCollectives } from "../../runtime/collective/local.ts";
import { type CudaDevice, requestCudaDevice } from "../../runtime/cuda/device.ts";
import { type CudaShardedLayer, loadCudaShard } from "../../runtime/cuda/load-shard.ts";
import type { CompiledCuda } from "../../runtime/cuda/model.ts";
import { type NcclCollective, type NcclOptions, ncclCollective } from "../../runtime/cuda/nccl.ts";
import type { WeightSource } from "../../runtime/layer.ts";
import { LAYER } from "../cases/compile-case.ts";

/** A rank's part in NCCL, and what it was made with. */
export interface Rank {
  readonly device: CudaDevice;
  readonly bootstrap: Collective;
  readonly nccl: NcclCollective;
}

export function openDevices(count: number): Promise<CudaDevice[]> {
  process.env.HIREC_CUDA_ON_CPU_DEVICES = String(count);
  return Promise.all(Array.from({ length: count }, (_, ordinal) => requestCudaDevice({ ordinal })));
}

export async function openRanks(count: number, options: NcclOptions = {}): Promise<Rank[]> {
  const devices = await openDevices(count);
  const bootstraps = localCollectives(count);
  return Promise.all(
    devices.map(async (device, rank) => {
      const bootstrap = bootstraps[rank]!;
      return { device, bootstrap, nccl: await ncclCollective(device, bootstrap, options) };
    }),
  );
}

export async function closeRanks(ranks: readonly Rank[]): Promise<void> {
  await Promise.all(ranks.map(({ nccl }) => nccl.close()));
  for (const { device } of ranks) device.close();
}

/** Loads the layer of a case on every rank, does something with all of them, and frees them. */
export async function withLayers<Layer extends CudaShardedLayer>(
  ranks: readonly Rank[],
  compiled: CompiledCuda & { readonly packs: readonly WeightSource[] },
  work: (layers: readonly Layer[]) => Promise<void>,
): Promise<void> {
  const shards = await Promise.all(ranks.map(({ nccl }, rank) => loadCudaShard(nccl, compiled, compiled.packs[rank]!)));
  try {
    await work(shards.map(({ layers }) => layers[LAYER] as Layer));
  } finally {
    for (const shard of shards) shard.destroy();
  }
}
