// Shards whose exchange is NCCL's, each on a device of its own: the results are those of shards that meet in memory.

import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ShardOptions } from "../../dsl/index.ts";
import type { CudaDevice } from "../../runtime/cuda/device.ts";
import type { CudaBuffer, CudaMemory } from "../../runtime/cuda/memory.ts";
import { cudaLoader } from "../../runtime/cuda/model.ts";
import { ncclCollective } from "../../runtime/cuda/nccl.ts";
import type { CudaShardedFfn } from "../../runtime/cuda/sharded-ffn.ts";
import type { CudaShardedSoftmax } from "../../runtime/cuda/sharded-softmax.ts";
import type { CudaStream } from "../../runtime/cuda/stream.ts";
import {
  compileSharded,
  compileShardedFfn,
  fewRows,
  ffnProblems,
  headCase,
  headProblems,
  runShards,
  shardSection,
  TIES,
} from "../cases/sharded.ts";
import type { SoftmaxCase } from "../cases/softmax-case.ts";
import { CUDA } from "../cuda-host/run.ts";
import { type Card, missing, openCard } from "./card.ts";
import { closeRanks, openRanks, type Rank, withLayers } from "./ranks.ts";

const section = shardSection();
/** Those of the section, and those that a shard of few rows, or without the second exchange, would get wrong. */
const heads: readonly (readonly [string, ShardOptions, SoftmaxCase])[] = [
  ...section.heads,
  ["five rows", { count: 2 }, fewRows(5)],
  ["two rows", { count: 3, layout: "contiguous" }, fewRows(2)],
  TIES,
];
/** A layer has at least two shards. All sizes in the long form, and one for each case otherwise. */
const spread = <Case>(cases: readonly (readonly [name: string, shards: ShardOptions, ofCase: Case])[]) =>
  cases.flatMap(([name, shards, ofCase], i) => {
    const sizes = process.env.HIREC_LONG === "1" ? [2, 3] : [3 - (i % 2)];
    return sizes.map((count) => [name, { ...shards, count }, ofCase] as const);
  });

describe.skipIf(missing)(`NCCL${missing ? `, skipped: ${missing}` : ""}`, () => {
  let card: Card;
  let ranks: readonly Rank[];
  let before: number;
  beforeAll(async () => {
    card = await openCard();
  });
  beforeEach(() => {
    before = card.live();
    ranks = [];
  });
  afterEach(async () => {
    await closeRanks(ranks);
    expect(card.live(), "what nobody has freed").toBe(before);
  });

  test.each(spread(heads))("%s, over %o", async (_, shards, softmaxCase) => {
    const compiled = compileSharded(softmaxCase, shards, [CUDA]);
    const { x, taken } = compiled.data;
    const loader = cudaLoader.bind(undefined, card.device, compiled);
    const [local] = await runShards(compiled, loader, (each) => each.run(x, taken));
    ranks = await openRanks(shards.count);
    await withLayers<CudaShardedSoftmax>(ranks, compiled, async (layers) => {
      const results = await Promise.all(layers.map((each) => each.run(x, taken)));
      expect(headProblems(softmaxCase, compiled, results)).toEqual([]);
      const { indices, values, sampled } = results[0]!;
      expect({ indices, values, sampled }).toEqual({
        indices: local!.indices,
        values: local!.values,
        sampled: local!.sampled,
      });
    });
  });

  test.each(spread(section.ffns))("%s, over %o", async (_, shards, ffnCase) => {
    const compiled = compileShardedFfn(ffnCase, shards, [CUDA]);
    const { x } = compiled.data;
    const loader = cudaLoader.bind(undefined, card.device, compiled);
    const local = await runShards(compiled, loader, (each) => each.run(x));
    ranks = await openRanks(shards.count);
    await withLayers<CudaShardedFfn>(ranks, compiled, async (layers) => {
      const results = await Promise.all(layers.map((each) => each.run(x)));
      expect(ffnProblems(ffnCase, compiled, results)).toEqual([]);
      expect(results.map(({ groups }) => groups)).toEqual(local.map(({ groups }) => groups));
    });
  });

  /** Records a launch on every rank, and launches it a few times. */
  async function launchGraphs(encode: (rank: number, stream: CudaStream) => void, check: () => Promise<void>) {
    const graphs = ranks.map(({ device }, rank) => device.capture((stream) => encode(rank, stream)));
    for (let time = 0; time < 3; time++) {
      graphs.forEach((graph, rank) => void graph.launch(ranks[rank]!.device.stream));
      await Promise.all(ranks.map(({ nccl, device }) => nccl.finished(device.stream)));
      await check();
    }
    for (const graph of graphs) graph.destroy();
  }

  test("a head and its exchange are launched as one graph, and say for which shards a token is open", async () => {
    const { layer, ...softmaxCase } = headCase("certified int4 group 32, report, and options: random");
    const { logSumExp: _, ...ofShards } = layer;
    const compiled = compileSharded({ ...softmaxCase, layer: ofShards }, { count: 2 }, [CUDA]);
    const { batch, inputs, k } = compiled.layer;
    const { x, taken } = compiled.data;
    ranks = await openRanks(2);
    await withLayers<CudaShardedSoftmax>(ranks, compiled, async (layers) => {
      const tokens = x.subarray(0, batch * inputs);
      const [mask, uniforms] = [taken.mask!, taken.uniforms!.subarray(0, batch)];
      const [expected] = await Promise.all(layers.map((each) => each.run(tokens, { mask, uniforms })));
      expect([...new Set(expected!.certified)]).toHaveLength(2);
      const memories = await Promise.all(
        layers.map(async (layer, rank) => {
          const { device } = ranks[rank]!;
          return {
            x: await filled(device, "f32", tokens),
            mask: await filled(device, "u32", layer.maskOfShard(mask)),
            uniforms: await filled(device, "f32", uniforms),
            indices: device.allocate("u32", batch * k),
            values: device.allocate("f32", batch * k),
            open: device.allocate("u32", batch * 2),
            sampled: device.allocate("u32", batch),
          };
        }),
      );
      const encode = (rank: number, stream: CudaStream) => layers[rank]!.encode(stream, memories[rank]!);
      await launchGraphs(encode, async () => {
        for (const { indices, values, open, sampled } of memories) {
          expect(await indices.read()).toEqual(expected!.indices);
          expect(await values.read()).toEqual(expected!.values);
          expect(await sampled.read()).toEqual(expected!.sampled);
          const flags = await open.read();
          const certified = Uint8Array.from({ length: batch }, (_, token) =>
            Number(flags[2 * token] === 0 && flags[2 * token + 1] === 0),
          );
          expect(certified).toEqual(expected!.certified);
        }
      });
      free(memories);
    });
  });

  test("a feed-forward and its sum are launched as one graph", async () => {
    const compiled = compileShardedFfn(section.ffns[0]![2], { count: 2 }, [CUDA]);
    const { batch, inputs, outputs } = compiled.layer;
    const tokens = compiled.data.x.subarray(0, batch * inputs);
    ranks = await openRanks(2);
    await withLayers<CudaShardedFfn>(ranks, compiled, async (layers) => {
      const [expected] = await Promise.all(layers.map((each) => each.run(tokens)));
      const memories = await Promise.all(
        ranks.map(async ({ device }) => ({
          x: await filled(device, "f32", tokens),
          output: device.allocate("f32", batch * outputs),
          groups: device.allocate("u32", batch * compiled.layer.k),
        })),
      );
      const encode = (rank: number, stream: CudaStream) => layers[rank]!.encode(stream, memories[rank]!);
      await launchGraphs(encode, async () => {
        for (const { output } of memories) expect(await output.read()).toEqual(expected!.output);
      });
      free(memories);
    });
  });

  test("a rank that is alone needs no bootstrap", async () => {
    const { device } = card;
    const nccl = await ncclCollective(device);
    expect(nccl).toMatchObject({ rank: 0, size: 1, engine: "nccl 2.23.4" });
    const given = await filled(device, "f32", Float32Array.of(1, 2, 3, 4));
    const taken = device.allocate("f32", 4);
    nccl.allGather(device.stream, given.pointer, taken.pointer, 16, "gathering");
    nccl.allReduceSum(device.stream, taken.pointer, 4, "adding up");
    await nccl.finished(device.stream);
    expect(await taken.read()).toEqual(await given.read());
    await nccl.close();
    expect(() => nccl.allReduceSum(device.stream, taken.pointer, 4, "adding up")).toThrow("NCCL is closed");
    free([{ given, taken }]);
  });
});

async function filled<Dtype extends "f32" | "u32">(
  device: CudaDevice,
  dtype: Dtype,
  values: Parameters<CudaBuffer<Dtype>["write"]>[0],
): Promise<CudaBuffer<Dtype>> {
  const buffer = device.allocate(dtype, values.length);
  await buffer.write(values);
  return buffer;
}

function free(memories: readonly Readonly<Record<string, CudaMemory>>[]): void {
  for (const memory of memories.flatMap(Object.values<CudaMemory>)) (memory as CudaBuffer).destroy();
}
