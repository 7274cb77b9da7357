// The buffers of a layer, and how kernels bind them.

import type { BindingPlan, BufferPlan, SoftmaxPlan } from "../../runtime/plan.ts";
import { exactStride } from "../padding.ts";
import type { Profile } from "../profiles.ts";
import { bucketSlices, isScored, rowSlices, sliceBytes } from "./slices.ts";

/** Every buffer that some kernel of the layer may use. */
export function planBuffers(layer: SoftmaxPlan, profile: Profile): BufferPlan[] {
  const { batch, inputs, k, candidates, selection, tensors } = layer;
  return [
    { name: "x", role: "input", bytes: batch * inputs * 4 },
    ...(layer.mask ? [{ name: "mask", role: "input" as const, bytes: maskWords(layer) * 4 }] : []),
    ...(layer.sampler === "multinomial" ? [{ name: "uniforms", role: "input" as const, bytes: batch * 4 }] : []),
    ...tensors.map((tensor): BufferPlan => {
      const { role, bytes } = tensor;
      if (role === "bias") return { name: role, role: "weight", bytes };
      const slices = sliceBytes(isScored(tensor) ? bucketSlices(layer, profile) : rowSlices(layer, profile), bytes);
      return { name: role, role: "weight", bytes, ...(slices.length > 1 && { slices }) };
    }),
    { name: "token_codes", role: "scratch", bytes: batch * tokenChunks(layer) * 16 },
    { name: "largest", role: "scratch", bytes: batch * 4 },
    {
      name: "survivors",
      role: "scratch",
      bytes: batch * selection.buckets * (selection.keep + Number(hasTail(layer))) * 8,
    },
    { name: "chosen", role: "scratch", bytes: batch * candidates * 8 },
    ...(hasTail(layer) ? [{ name: "tail", role: "scratch" as const, bytes: batch * 8 }] : []),
    { name: "indices", role: "output", bytes: batch * k * 4 },
    { name: "values", role: "output", bytes: batch * k * 4 },
    ...(layer.logSumExp ? [{ name: "lse", role: "output" as const, bytes: batch * 4 }] : []),
    ...(layer.sampler ? [{ name: "sampled", role: "output" as const, bytes: batch * 4 }] : []),
  ];
}

/** Whether rows that are no candidates count in the log-sum-exp. */
export function hasTail({ logSumExp }: SoftmaxPlan): boolean {
  return logSumExp === "all" || logSumExp === "estimates";
}

/**
 * Whether int8 scores are multiplied with the token's scale: where something besides their order matters. Otherwise they
 * are not, because it changes no order within a token.
 */
export function hasTokenScale({ estimator, bias, logSumExp }: SoftmaxPlan): boolean {
  return (
    estimator.kind === "quantized" &&
    estimator.activations === "int8" &&
    (bias !== undefined || logSumExp === "estimates")
  );
}

/** u32 words of the mask, a bit per row. */
export function maskWords({ rows }: Pick<SoftmaxPlan, "rows">): number {
  return Math.ceil(rows / 32);
}

export function maskBinding(layer: SoftmaxPlan): BindingPlan {
  return binding("mask", "read", "array<u32>", `[${maskWords(layer)}] bit r mod 32 of word r / 32: row r is allowed`);
}

export function biasBinding({ rows }: SoftmaxPlan): BindingPlan {
  return binding("bias", "read", "array<f32>", `[${rows}] added to the scores`);
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
  return tensors.filter(isScored).map(({ role, shape }) => {
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

export function exactBinding({ tensors, dtype }: SoftmaxPlan): BindingPlan {
  const { shape } = tensors.find(({ role }) => role === "exact")!;
  return binding("exact", "read", "array<vec4<u32>>", `[${shape.join(", ")}] ${dtype} weights, row by row`);
}

export function survivorsBinding(layer: SoftmaxPlan, access: BindingPlan["access"]): BindingPlan {
  const { selection } = layer;
  const shape = `[${layer.batch}, ${selection.buckets}, ${selection.keep}]`;
  const tails = hasTail(layer) ? `, then [${layer.batch}, ${selection.buckets}] the tails of the buckets` : "";
  return binding("survivors", access, "array<vec2<u32>>", `${shape} token, bucket, rank: key and row${tails}`);
}

export function tailBinding({ batch }: SoftmaxPlan, access: BindingPlan["access"]): BindingPlan {
  return binding("tail", access, "array<vec2<u32>>", `[${batch}] the sum of exp over the rows that are no candidates`);
}

export function samplerBindings({ batch, sampler }: SoftmaxPlan): BindingPlan[] {
  const uniforms = binding("uniforms", "read", "array<f32>", `[${batch}] uniform numbers in [0, 1)`);
  const sampled = binding("sampled", "read_write", "array<u32>", `[${batch}] a row of the results each`);
  return sampler === "multinomial" ? [uniforms, sampled] : [sampled];
}

export function binding(name: string, access: BindingPlan["access"], type: string, note: string): BindingPlan {
  return { name, access, type, note };
}
