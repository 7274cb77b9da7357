// Tokens to int8, as a kernel of its own.

import type { KernelPlan } from "../../runtime/plan.ts";
import { inputBinding, largest, tokenChunks, tokenCodes } from "./buffers.ts";
import { type Context, kernel, variable } from "./kernel.ts";

export function scheduleQuantize(context: Context): KernelPlan {
  const { layer } = context;
  return kernel(context, {
    stem: "quantize",
    workgroupSize: layer.tiling.lanes,
    launches: [{ workgroups: [layer.batch, 1, 1] }],
    bindings: [
      inputBinding(layer),
      { ...tokenCodes(layer), access: "read_write" },
      { ...largest(layer), access: "read_write" },
    ],
    variables: [variable("largest_of_token", "atomic<u32>", 4)],
    constants: { LANES: layer.tiling.lanes, INPUTS: layer.inputs, CHUNKS: tokenChunks(layer) },
    choices: {},
  });
}
