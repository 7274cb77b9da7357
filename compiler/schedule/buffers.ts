// The buffers of a layer, and how kernels bind them.

import type { BindingPlan, BufferPlan, SoftmaxPlan } from "../../runtime/plan.ts";
import { exactStride } from "../padding.ts";
import type { Profile } from "../profiles.ts";
import { certificateBuffers } from "./certificate.ts";
import { bucketSlices, rowSlices, sliceBytes } from "./slices.ts";

/** Every buffer that some kernel of the layer may use. */
export function planBuffers(layer: SoftmaxPlan, profile: Profile): BufferPlan[] {
  const { batch, inputs, k, candidates, selection, tensors } = layer;
  return [
    { name: "x", role: "input", bytes: batch * inputs * 4 },
    ...tensors.map(({ role, bytes }): BufferPlan => {
      const slices = sliceBytes(role === "exact" ? rowSlices(layer, profile) : bucketSlices(layer, profile), bytes);
      return { name: role, role: "weight", bytes, ...(slices.length > 1 && { slices }) };
    }),
    { name: "token_codes", role: "scratch", bytes: batch * tokenChunks(layer) * 16 },
    { name: "largest", role: "scratch", bytes: batch * 4 },
    { name: "survivors", role: "scratch", bytes: batch * selection.buckets * selection.keep * 8 },
    { name: "chosen", role: "scratch", bytes: batch * candidates * 8 },
    { name: "indices", role: "output", bytes: batch * k * 4 },
    { name: "values", role: "output", bytes: batch * k * 4 },
    ...certificateBuffers(layer, profile),
  ];
}

/** 16-byte chunks of a token's int8 codes. */
export function tokenChunks({ estimator }: SoftmaxPlan): number {
  return estimator.kind === "quantized" ? (estimator.group * estimator.groups) / 16 : 0;
}

/** vec4<f32> of a token that meet the columns of a scored row. */
export function scoreQuads(layer: SoftmaxPlan): number {
  const { estimator } = layer;
  return (estimator.kind === "quantized" ? estimator.group * estimator.groups : exactStride(layer)) / 4;
}

export function scoredBindings({ estimator, tensors, tiling, rows, inputs }: SoftmaxPlan): BindingPlan[] {
  return tensors
    .filter(({ role }) => role !== "exact")
    .map(({ role, shape }) => {
      const at = `[${shape.slice(0, role === "codes" || role === "weights" ? 4 : shape.length).join(", ")}]`;
      switch (role) {
        case "codes": {
          const bits = estimator.kind === "quantized" ? estimator.bits : 0;
          return binding(
            role,
            "read",
            "array<vec4<u32>>",
            `${at} bucket, tile, step, lane: ${128 / bits} codes of ${bits} bits`,
          );
        }
        case "weights":
          return binding(
            role,
            "read",
            "array<vec4<u32>>",
            `${at} bucket, tile, step, lane: the ${rows} × ${inputs} weights`,
          );
        case "bounds":
          return binding(
            role,
            "read",
            "array<vec2<f32>>",
            `[${shape.slice(0, 3).join(", ")}] bucket, tile, lane: a row's error and norm, in units of its scale`,
          );
        case "scales":
          return binding(role, "read", "array<u32>", `${at} bucket, tile, word, lane: 4 group scales of 8 bits`);
        default:
          return binding(role, "read", "array<f32>", `${at} bucket, tile, lane: ${tiling.lanes} row scales a tile`);
      }
    });
}

export function inputBinding({ batch, inputs }: SoftmaxPlan): BindingPlan {
  return binding("x", "read", "array<f32>", `[${batch}, ${inputs}] tokens`);
}

export function tokenCodes(layer: SoftmaxPlan): BindingPlan {
  return binding(
    "token_codes",
    "read",
    "array<vec4<u32>>",
    `[${layer.batch}, ${tokenChunks(layer)}] 16 int8 codes each`,
  );
}

export function largest({ batch }: SoftmaxPlan): BindingPlan {
  return binding("largest", "read", "array<u32>", `[${batch}] bits of the largest |x| of a token`);
}

export function tokenNorms({ batch }: SoftmaxPlan): BindingPlan {
  return binding("token_norms", "read", "array<vec2<f32>>", `[${batch}] norms of a token and of its codes' error`);
}

export function exactBinding({ tensors, dtype }: SoftmaxPlan): BindingPlan {
  const { shape } = tensors.find(({ role }) => role === "exact")!;
  return binding("exact", "read", "array<vec4<u32>>", `[${shape.join(", ")}] ${dtype} weights, row by row`);
}

export function survivorsBinding({ batch, selection }: SoftmaxPlan, access: BindingPlan["access"]): BindingPlan {
  const shape = `[${batch}, ${selection.buckets}, ${selection.keep}]`;
  return binding("survivors", access, "array<vec2<u32>>", `${shape} token, bucket, rank: key and row`);
}

export function binding(name: string, access: BindingPlan["access"], type: string, note: string): BindingPlan {
  return { name, access, type, note };
}
