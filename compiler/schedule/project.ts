// Tokens onto the basis of a low-rank estimator: one workgroup per row of the basis.

import type { BindingPlan, EstimatorPlan, KernelPlan } from "../../runtime/plan.ts";
import { binding, inputBinding } from "./buffers.ts";
import { array, type Context, kernel } from "./kernel.ts";

const DEFAULT_LANES = 64;

export function scheduleProject(context: Context): KernelPlan {
  const { layer, tuning } = context;
  const lanes = tuning?.projectLanes ?? DEFAULT_LANES;
  const { batch, inputs } = layer;
  const { rank, bits, activations } = layer.estimator as EstimatorPlan & { readonly kind: "lowRank" };
  const { shape } = layer.tensors.find(({ role }) => role === "basis")!;
  const int8 = activations === "int8";
  const codes = bits < 16;
  const perChunk = codes ? 16 : 8;
  const bindings: BindingPlan[] = [
    inputBinding(layer),
    binding("basis", "read", "array<vec4<u32>>", `[${shape.join(", ")}] ${codes ? "int8 codes" : "bf16"}, row by row`),
    ...(codes ? [binding("basis_scales", "read", "array<f32>", `[${rank}] of the rows of the basis`)] : []),
    binding("projected", "read_write", "array<f32>", `[${batch}, ${rank}] tokens on the basis`),
  ];
  return kernel(context, {
    stem: "project",
    workgroupSize: lanes,
    launches: [{ workgroups: [rank, 1, 1] }],
    bindings,
    variables: [
      ...(int8 ? [array("largest", "atomic<u32>", batch, 4)] : []),
      array("partial", int8 ? "i32" : "f32", lanes, 4),
    ],
    constants: {
      LANES: lanes,
      BATCH: batch,
      INPUTS: inputs,
      RANK: rank,
      CHUNKS: shape[1]! / perChunk,
    },
    choices: {
      int8,
      bytes: codes,
      guarded: inputs < shape[1]!,
      staged: false,
      quantizesHere: int8,
      dense: !codes,
      grouped: false,
      bf16: !codes,
      f16: false,
      f32: false,
    },
  });
}
