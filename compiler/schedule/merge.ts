// What all shards sent becomes the k best rows of all.

import type { BufferPlan, KernelPlan, ShardingPlan, SoftmaxPlan } from "../../runtime/plan.ts";
import { binding } from "./buffers.ts";
import { type Context, finishing, kernel, made, variable } from "./kernel.ts";

/** Invocations of a workgroup, which merges what was sent of one token. */
const LANES = 256;

/** The input has the name that tokens have elsewhere, since it comes launch by launch as they do. */
export function mergeBuffers({ batch, k, sampler }: SoftmaxPlan, { count, offered }: ShardingPlan): BufferPlan[] {
  return [
    { name: "x", role: "input", bytes: count * batch * (1 + offered) * 8 },
    ...(sampler === "multinomial" ? [{ name: "uniforms", role: "input" as const, bytes: batch * 4 }] : []),
    { name: "indices", role: "output", bytes: batch * k * 4 },
    { name: "values", role: "output", bytes: batch * k * 4 },
    { name: "open", role: "output", bytes: batch * count * 4 },
    ...(sampler ? [{ name: "sampled", role: "output" as const, bytes: batch * 4 }] : []),
  ];
}

export function scheduleMerge(context: Context<SoftmaxPlan>): KernelPlan {
  const { layer } = context;
  const { batch, k, rows } = layer;
  const sharding = layer.sharding!;
  const { count, offered, layout } = sharding;
  const finish = finishing(layer);
  const note = `[${count}, ${batch}, ${1 + offered}] shard, token: key of its bound, then keys and rows, best first`;
  return kernel(context, {
    stem: "merge",
    workgroupSize: LANES,
    launches: [{ workgroups: [batch, 1, 1] }],
    bindings: [
      { ...binding("gathered", "read", "array<vec2<u32>>", note), buffer: "x" },
      binding("indices", "read_write", "array<u32>", `[${batch}, ${k}] rows, best first`),
      binding(
        "values",
        "read_write",
        "array<f32>",
        `[${batch}, ${k}] their ${finish.choices.finishes ? "values" : "exact scores"}`,
      ),
      binding(
        "open",
        "read_write",
        "array<u32>",
        `[${batch}, ${count}] 1 where a row that a shard dropped may be better`,
      ),
    ],
    variables: [variable("kth_key", "u32", 4), variable("found", "atomic<u32>", 4)],
    constants: {
      LANES,
      K: k,
      SHARDS: count,
      OFFERED: offered,
      SHARD_PAIRS: batch * (1 + offered),
      ROWS_PER_SHARD: Math.ceil(rows / count),
      ...finish.constants,
    },
    choices: { interleaved: layout === "interleaved", ...made(finish.choices) },
    ...(finish.functions && { functions: finish.functions }),
  });
}
