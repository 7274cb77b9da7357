// Which tokens are recomputed, and with what grids.

import type { KernelPlan } from "../../runtime/plan.ts";
import { binding } from "./buffers.ts";
import { blocksOf, failedBinding } from "./certificate.ts";
import { type Context, kernel, made } from "./kernel.ts";

export function scheduleFallbackPlan(context: Context): KernelPlan {
  const { layer, profile } = context;
  const sends = layer.shard !== undefined;
  const cuda = profile.target === "cuda";
  return kernel(context, {
    stem: "fallback_plan",
    workgroupSize: 1,
    launches: [{ workgroups: [1, 1, 1] }],
    bindings: [
      sends
        ? binding(
            "again",
            "read",
            "array<u32>",
            `[${layer.batch}] 1 where the other shards ask for the exact best rows`,
          )
        : binding("certified", "read", "array<u32>", `[${layer.batch}] 1 when no row was missed`),
      failedBinding(layer, "read_write"),
      // In CUDA the blocks of a full grid look at how many tokens failed.
      ...(cuda ? [] : [binding("fallback_grids", "read_write", "array<u32>", "[2, 3] of the launches after this")]),
    ],
    variables: [],
    constants: { BATCH: layer.batch, ...(!cuda && { BLOCKS: blocksOf(layer, profile).perSlice }) },
    choices: made({ sends }),
  });
}
