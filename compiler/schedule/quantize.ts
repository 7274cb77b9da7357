// Tokens to int8, as a kernel of its own.

import type { KernelPlan } from "../../runtime/plan.ts";
import { scoredView } from "../scored-view.ts";
import { scoredInput, tokenChunks, tokenCodes, tokenNorms } from "./buffers.ts";
import { certificateConstants } from "./certificate.ts";
import { array, type Context, kernel, variable } from "./kernel.ts";

export function scheduleQuantize(context: Context): KernelPlan {
  const layer = scoredView(context.layer);
  const bounded = layer.certificate !== undefined;
  return kernel(context, {
    stem: "quantize",
    workgroupSize: layer.tiling.lanes,
    launches: [{ workgroups: [layer.batch, 1, 1] }],
    bindings: [
      scoredInput(context.layer),
      { ...tokenCodes(layer), access: "read_write" },
      ...(bounded ? [{ ...tokenNorms(layer), access: "read_write" as const }] : []),
    ],
    variables: [
      variable("largest_of_token", "atomic<u32>", 4),
      ...(bounded ? [array("squares", "atomic<u32>", 2, 4)] : []),
    ],
    constants: {
      LANES: layer.tiling.lanes,
      INPUTS: layer.inputs,
      CHUNKS: tokenChunks(layer),
      ...(!bounded && { BATCH: layer.batch }),
      ...certificateConstants(layer),
    },
    choices: { bounded },
  });
}
