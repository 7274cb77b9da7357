// The k best of the candidate groups, and the sum of what they and the common groups add.

import type { FfnPlan, KernelPlan } from "../../runtime/plan.ts";
import { binding, chosenBinding } from "./buffers.ts";
import { gatherShape } from "./groups.ts";
import { array, type Context, kernel, made } from "./kernel.ts";

/** Invocations of a workgroup; each adds up four outputs. */
const LANES = 64;

export function scheduleReduce(context: Context<FfnPlan>): KernelPlan {
  const { layer } = context;
  const { batch, outputs, k, candidates, group } = layer;
  const { slots, outputQuads } = gatherShape(layer);
  const gaps = layer.selection.kind === "statistical";
  const downBiased = layer.biases?.down !== undefined;
  return kernel(context, {
    stem: "reduce",
    workgroupSize: LANES,
    launches: [{ workgroups: [Math.ceil(outputs / 4 / LANES), batch, 1] }],
    bindings: [
      chosenBinding(layer, "read"),
      binding("partials", "read", "array<vec4<f32>>", `[${batch}, ${slots}, ${outputQuads}] what each group adds`),
      ...(downBiased ? [binding("down_bias", "read", "array<vec4<f32>>", `[${outputQuads}] added to the result`)] : []),
      binding("output", "read_write", "array<f32>", `[${batch}, ${outputs}]`),
      binding("groups", "read_write", "array<u32>", `[${batch}, ${k}] the groups that were selected, best first`),
    ],
    variables: [array("order", "u32", k, 4)],
    constants: {
      LANES,
      K: k,
      CANDIDATES: candidates,
      COMMON: group.common,
      SLOTS: slots,
      OUTPUTS: outputs,
      OUTPUT_QUADS: outputQuads,
    },
    choices: { hasCommon: group.common > 0, wholeQuads: outputs === outputQuads * 4, ...made({ downBiased, gaps }) },
  });
}
