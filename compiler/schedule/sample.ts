// The sampler, as a kernel of its own.

import type { KernelPlan } from "../../runtime/plan.ts";
import { binding, samplerBindings } from "./buffers.ts";
import { type Context, kernel, made, samplerConstants } from "./kernel.ts";

/** Invocations, of which each takes a token: no fewer than the largest batch. */
const SAMPLE_LANES = 32;

export function scheduleSample(context: Context): KernelPlan {
  const { layer } = context;
  const { batch, k } = layer;
  const multinomial = layer.sampler === "multinomial";
  return kernel(context, {
    stem: "sample",
    workgroupSize: SAMPLE_LANES,
    launches: [{ workgroups: [1, 1, 1] }],
    bindings: [
      binding("indices", "read", "array<u32>", `[${batch}, ${k}] rows, best first`),
      ...(multinomial ? [binding("values", "read", "array<f32>", `[${batch}, ${k}] their values`)] : []),
      ...samplerBindings(layer),
    ],
    variables: [],
    constants: { LANES: SAMPLE_LANES, BATCH: batch, K: k, ...samplerConstants(layer) },
    choices: made({ multinomial }),
  });
}
