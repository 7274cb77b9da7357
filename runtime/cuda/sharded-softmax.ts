// An output head over many shards, each on a CUDA device of its own: its kernels, NCCL's all-gather of device memory, and the
// merge are on one stream. All that a shard has to offer is sent at once, since a call costs more than its bytes, so that only what is
// to be recomputed takes a second exchange.

import type { LayerOnDevice, ShardParts } from "../collective/load-shard.ts";
import { maskOf, mergedOf, openShardsOf, range, replaceTokens, tokensOfInput } from "../collective/merged.ts";
import { PAIR_WORDS } from "../collective/pairs.ts";
import type { ShardedResult, ShardedSoftmax } from "../collective/sharded-softmax.ts";
import { checkInputs, maskBits, type SoftmaxInputs } from "../inputs.ts";
import { tokenCount } from "../layer.ts";
import type { SoftmaxPlan } from "../plan.ts";
import { type CudaDeviceLayer, type CudaLayerSources, createCudaLayer, type ExternalMemory } from "./device-layer.ts";
import type { CudaBuffer, CudaMemory } from "./memory.ts";
import type { NcclCollective } from "./nccl.ts";
import { createRunner } from "./runner.ts";
import type { SoftmaxMemory } from "./softmax.ts";
import type { CudaStream } from "./stream.ts";

/** The caller's memory of one launch, as of a head on one device but for what is said here. */
export interface ShardedSoftmaxMemory extends Omit<SoftmaxMemory, "certified" | "lse"> {
  /** u32 words of `maskBits` for the rows of this shard, see `maskOfShard`. */
  readonly mask?: CudaMemory<"u32">;
  /** u32 `[batch, shards]`: 1 where a row that a shard dropped may be better than the k-th. Only for a head that is certified. */
  readonly open?: CudaMemory<"u32">;
  /** u32 `[batch]`: 1 where this shard recomputes the token exactly. Only for a head with a fallback. */
  readonly again?: CudaMemory<"u32">;
}

export interface CudaShardedSoftmax extends ShardedSoftmax {
  /**
   * Puts one launch of `batch` tokens and its one exchange on a stream; nothing is waited for and nothing is read back. Every
   * shard does so with the same tokens, and gets the same. A token is proven when it is open for no shard. With a fallback it is
   * the caller who encodes once more what is not, with `again` for each shard what was open for it; `run` does that.
   * @throws HireError HIRE-RUN-002 as a layer on one device, HIRE-RUN-015 and HIRE-RUN-021 when NCCL fails.
   */
  encode(stream: CudaStream, memory: ShardedSoftmaxMemory): void;
  /** The bits of a mask `[rows]` of the whole head that `encode` takes on this shard. */
  maskOfShard(mask: Uint8Array): Uint32Array;
}

/** @throws HireError as `createCudaLayer`. */
export async function createCudaShardedSoftmax(
  nccl: NcclCollective,
  name: string,
  plan: SoftmaxPlan,
  { own, merge }: ShardParts,
  sources: CudaLayerSources,
): Promise<CudaShardedSoftmax> {
  const { device, rank } = nccl;
  const { count, offered } = plan.sharding!;
  const part = own?.plan as SoftmaxPlan | undefined;
  const recomputes = plan.certificate?.kind === "fallback";
  const loaded: { destroy(): void }[] = [];
  const destroy = () => {
    for (const each of loaded.splice(0)) each.destroy();
  };
  const load = async (each: LayerOnDevice): Promise<CudaDeviceLayer> => {
    const layer = await createCudaLayer(device, name, each.plan, each.program, sources);
    loaded.push(layer);
    return layer;
  };
  const allocate = (length: number): CudaBuffer<"u32"> => {
    const buffer = device.allocate("u32", length);
    loaded.push(buffer);
    return buffer;
  };

  const build = async () => {
    const ownLayer = own && (await load(own));
    const merging = await load(merge!);
    const wordsPerToken = (1 + offered) * PAIR_WORDS;
    const sent = allocate(plan.batch * wordsPerToken);
    const gathered = allocate(count * sent.length);
    // What no layer fills stays a place without a row.
    await sent.write(new Uint32Array(sent.length));
    // A shard of few rows has fewer than there are places.
    const wordsOfPart = part ? (1 + part.k) * PAIR_WORDS : 0;
    const pairs = wordsOfPart === wordsPerToken || !part ? sent : allocate(plan.batch * wordsOfPart);
    const open = plan.certificate ? undefined : allocate(plan.batch * count);
    const exchanging = `exchanging rows of layer "${name}"`;

    return (stream: CudaStream, memory: ExternalMemory) => {
      ownLayer?.encode(stream, { ...memory, pairs });
      if (pairs !== sent) {
        device.call(exchanging, (driver) => {
          for (const token of range(plan.batch)) {
            const [to, from] = [token * wordsPerToken, token * wordsOfPart].map((words) => BigInt(4 * words));
            driver.copyOnDevice(sent.pointer + to!, pairs.pointer + from!, 4 * wordsOfPart, stream.handle);
          }
        });
      }
      nccl.allGather(stream, sent.pointer, gathered.pointer, 4 * sent.length, exchanging);
      merging.encode(stream, { ...memory, open: memory.open ?? open, x: gathered });
    };
  };
  const encode = await build().catch((thrown) => {
    destroy();
    throw thrown;
  });
  const inputs = own?.program.buffers.filter(({ role }) => role === "input") ?? [];
  const others = merge!.program.buffers.filter(
    ({ name, role }) => role === "output" || (role === "input" && name !== "x"),
  );
  const runner = createRunner(
    device,
    name,
    plan,
    { buffers: [...inputs, ...others] },
    (handle, memory) => encode(device.borrowStream(handle), memory),
    (handle, doing) => nccl.finished(device.borrowStream(handle), doing),
  );
  loaded.push(runner);

  const maskOfShard = (mask?: Uint8Array) => maskBits(part?.rows ?? 0, mask && part && maskOf(mask, part, rank));
  const exchange = async (x: Float32Array, { mask, uniforms }: SoftmaxInputs, again?: Uint32Array) => {
    const tokens = tokenCount(name, plan, x);
    const taken = {
      x,
      ...(plan.mask && { mask: maskOfShard(mask) }),
      ...(recomputes && { again: again ?? new Uint32Array(tokens) }),
      ...(uniforms && { uniforms }),
    };
    const outputs = await nccl.together(tokens, `running layer "${name}"`, () => runner.run(taken));
    return mergedOf(outputs, plan, tokens);
  };

  const run = async (x: Float32Array, inputs: SoftmaxInputs = {}): Promise<ShardedResult> => {
    const tokens = tokenCount(name, plan, x);
    checkInputs(name, plan, tokens, inputs);
    const merged = await exchange(x, inputs);
    const open = range(tokens).map((token) => openShardsOf(merged, count, token));
    const needed = recomputes ? range(tokens).filter((token) => open[token]!.includes(true)) : [];
    if (needed.length > 0) {
      const uniforms = inputs.uniforms && Float32Array.from(needed, (token) => inputs.uniforms![token]!);
      const again = Uint32Array.from(needed, (token) => Number(open[token]![rank]));
      const some = { ...inputs, ...(uniforms && { uniforms }) };
      const second = await exchange(tokensOfInput(x, plan.inputs, needed), some, again);
      replaceTokens(merged, needed, second, plan.k);
    }
    const { open: _, ...result } = merged;
    const certified = plan.certificate && Uint8Array.from(open, (shards) => Number(!shards.includes(true)));
    return { ...result, ...(certified && { certified }), resent: needed.length };
  };
  return {
    kind: "softmax",
    plan,
    encode: (stream, memory) => encode(stream, { ...memory }),
    run,
    maskOfShard,
    destroy,
  };
}
