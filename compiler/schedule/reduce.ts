// The k best of the candidate groups, and the sum of what they and the common groups add.

import type { FfnPlan, KernelPlan } from "../../runtime/plan.ts";
import { budgetOf } from "../profiles.ts";
import { binding, chosenBinding } from "./buffers.ts";
import { gatherShape } from "./groups.ts";
import { array, type Context, kernel, made } from "./kernel.ts";

/** Invocations of a workgroup; each adds up parts of four outputs. */
const LANES = 256;

/** Invocations that share four outputs: one alone would wait for the memory once per handful of a hundred parts. */
const SPLITS = 16;

export function scheduleReduce(context: Context<FfnPlan>): KernelPlan {
  const { layer, profile } = context;
  const { batch, outputs, k, candidates, group } = layer;
  const { slots, outputQuads } = gatherShape(layer);
  const gaps = layer.selection.kind === "statistical";
  const downBiased = layer.biases?.down !== undefined;
  const order = array("order", "u32", k, 4);
  const sums = array("sums", "vec4<f32>", LANES, 16);
  const fits = order.bytes + sums.bytes <= budgetOf(profile).workgroupBytes;
  const quads = fits ? LANES / SPLITS : LANES;
  return kernel(context, {
    stem: "reduce",
    workgroupSize: LANES,
    launches: [{ workgroups: [Math.ceil(outputs / 4 / quads), batch, 1] }],
    bindings: [
      chosenBinding(layer, "read"),
      binding("partials", "read", "array<vec4<f32>>", `[${batch}, ${slots}, ${outputQuads}] what each group adds`),
      ...(downBiased ? [binding("down_bias", "read", "array<vec4<f32>>", `[${outputQuads}] added to the result`)] : []),
      binding("output", "read_write", "array<f32>", `[${batch}, ${outputs}]`),
      binding("groups", "read_write", "array<u32>", `[${batch}, ${k}] the groups that were selected, best first`),
    ],
    variables: fits ? [order, sums] : [order],
    constants: {
      LANES,
      QUADS: quads,
      SPLITS: LANES / quads,
      K: k,
      CANDIDATES: candidates,
      COMMON: group.common,
      SLOTS: slots,
      OUTPUTS: outputs,
      OUTPUT_QUADS: outputQuads,
    },
    choices: {
      hasCommon: group.common > 0,
      wholeQuads: outputs === outputQuads * 4,
      ...made({ downBiased, gaps, split: fits }),
    },
  });
}
