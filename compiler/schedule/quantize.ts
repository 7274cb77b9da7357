// Tokens to int8, as a kernel of its own.

import type { KernelPlan } from "../../runtime/plan.ts";
import { scoredView } from "../scored-view.ts";
import { usesTensorCores } from "../tensor-cores.ts";
import { scoredInput, tokenChunks, tokenCodes, tokenNorms } from "./buffers.ts";
import { certificateConstants } from "./certificate.ts";
import { array, type Context, kernel, made, variable } from "./kernel.ts";

/** Threads of a block in CUDA: it has a multiprocessor to itself, and all others wait for it. */
const CUDA_THREADS = 256;

export function scheduleQuantize(context: Context): KernelPlan {
  const layer = scoredView(context.layer);
  const bounded = layer.certificate !== undefined;
  const tensorCores = usesTensorCores(layer, context.profile);
  const lanes = context.profile.target === "cuda" ? CUDA_THREADS : layer.tiling.lanes;
  return kernel(context, {
    stem: "quantize",
    workgroupSize: lanes,
    launches: [{ workgroups: [layer.batch, 1, 1] }],
    bindings: [
      scoredInput(context.layer),
      { ...tokenCodes(layer, context.profile), access: "read_write" },
      ...(bounded ? [{ ...tokenNorms(layer), access: "read_write" as const }] : []),
    ],
    variables: [
      variable("largest_of_token", "atomic<u32>", 4),
      ...(bounded ? [array("squares", "atomic<u32>", 2, 4)] : []),
    ],
    constants: {
      LANES: lanes,
      INPUTS: layer.inputs,
      CHUNKS: tokenChunks(layer),
      ...((!bounded || tensorCores) && { BATCH: layer.batch }),
      ...certificateConstants(layer),
    },
    choices: { bounded, ...made({ tensorCores }) },
  });
}
