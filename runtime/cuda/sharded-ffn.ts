// A feed-forward over many shards, each on a CUDA device of its own: what each adds up, NCCL adds up, in place.

import type { ShardParts } from "../collective/load-shard.ts";
import { numberedAmongAll, type ShardedFfn } from "../collective/sharded-ffn.ts";
import { tokenCount } from "../layer.ts";
import { ffnResult } from "../layer-data.ts";
import type { BufferPlan, FfnPlan } from "../plan.ts";
import { type CudaLayerSources, createCudaLayer, type ExternalMemory } from "./device-layer.ts";
import type { FfnMemory } from "./ffn.ts";
import { checkMemory } from "./memory.ts";
import type { NcclCollective } from "./nccl.ts";
import { createRunner } from "./runner.ts";
import type { CudaStream } from "./stream.ts";

export interface CudaShardedFfn extends ShardedFfn {
  /**
   * Puts one launch of `batch` tokens on a stream, the exchange included; nothing is waited for and nothing is read back. Every
   * shard does so with the same tokens, and gets the same output.
   * @param memory as of a layer on one device; `groups` gets the groups of this shard, as it numbers them.
   * @throws HireError HIRE-RUN-002 as a layer on one device, HIRE-RUN-015 and HIRE-RUN-021 when NCCL fails.
   */
  encode(stream: CudaStream, memory: FfnMemory): void;
}

/** @throws HireError as `createCudaLayer`. */
export async function createCudaShardedFfn(
  nccl: NcclCollective,
  name: string,
  plan: FfnPlan,
  { own }: ShardParts,
  sources: CudaLayerSources,
): Promise<CudaShardedFfn> {
  const { device, rank } = nccl;
  const exchanging = `adding up layer "${name}"`;
  const length = plan.batch * plan.outputs;
  const sum = { name: "output", bytes: length * Float32Array.BYTES_PER_ELEMENT, dtype: "f32" };
  const layer = own && (await createCudaLayer(device, name, own.plan, own.program, sources));
  const buffers: readonly BufferPlan[] = own?.program.buffers ?? [{ ...sum, role: "output" }];

  const encode = (stream: CudaStream, memory: ExternalMemory) => {
    const output = checkMemory(device, name, [sum], memory).output!;
    if (layer) layer.encode(stream, memory);
    else device.call(exchanging, (driver) => driver.fill(output, 0, sum.bytes, stream.handle));
    nccl.allReduceSum(stream, output, length, exchanging);
  };
  const runner = createRunner(
    device,
    name,
    plan,
    { buffers },
    (handle, memory) => encode(device.borrowStream(handle), memory),
    (handle, doing) => nccl.finished(device.borrowStream(handle), doing),
  );
  return {
    kind: "ffn",
    plan,
    encode: (stream, memory) => encode(stream, { ...memory }),
    run: async (x) => {
      const tokens = tokenCount(name, plan, x);
      const outputs = await nccl.together(tokens, `running layer "${name}"`, () => runner.run({ x }));
      const { output, groups } = ffnResult({ groups: new ArrayBuffer(0), ...outputs });
      return { output, groups: own ? numberedAmongAll(groups, own.plan as FfnPlan, rank) : groups };
    },
    destroy: () => {
      runner.destroy();
      layer?.destroy();
    },
  };
}
