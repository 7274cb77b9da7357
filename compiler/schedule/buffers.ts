// The buffers of a layer, and how kernels bind them.

import { codeFormat, codesPerStep } from "../../runtime/pack/code-format.ts";
import type { BindingPlan, BufferPlan, LayerPlan, ScoredPlan, TensorPlan } from "../../runtime/plan.ts";
import { exactStride } from "../padding.ts";
import type { Profile } from "../profiles.ts";
import { scoredView } from "../scored-view.ts";
import { usesTensorCores } from "../tensor-cores.ts";
import { certificateBuffers } from "./certificate.ts";
import { gatherShape } from "./groups.ts";
import { mergeBuffers } from "./merge.ts";
import { meetingsWords } from "./rescore-parts.ts";
import { bucketSlices, groupSlices, isTiled, rowSlices, type Slices, sliceBytes } from "./slices.ts";

/** Every buffer that some kernel of the layer may use. */
export function planBuffers(layer: LayerPlan, profile: Profile): BufferPlan[] {
  const { batch, inputs, candidates, selection, tensors } = layer;
  // Of a sharded layer there is only the merge; the parts of shards are layers of their own.
  if (layer.sharding) return layer.kind === "softmax" ? mergeBuffers(layer, layer.sharding) : [];
  return [
    { name: "x", role: "input", bytes: batch * inputs * 4 },
    ...(layer.mask
      ? [{ name: "mask", role: "input" as const, bytes: maskWords(layer) * 4, shared: true as const }]
      : []),
    ...(layer.shard && layer.certificate?.kind === "fallback"
      ? [{ name: "again", role: "input" as const, bytes: batch * 4 }]
      : []),
    ...(layer.sampler === "multinomial" ? [{ name: "uniforms", role: "input" as const, bytes: batch * 4 }] : []),
    ...tensors.map(({ role, bytes }): BufferPlan => {
      const slices = sliceBytes(slicesOf(layer, role, profile), bytes);
      return { name: role, role: "weight", bytes, ...(slices.length > 1 && { slices }) };
    }),
    {
      name: "projected",
      role: "scratch",
      bytes: batch * (layer.estimator.kind === "lowRank" ? layer.estimator.rank : 0) * 4,
    },
    { name: "token_codes", role: "scratch", bytes: batch * (tokenChunks(scoredView(layer)) + 1) * 16 },
    {
      name: "survivors",
      role: "scratch",
      bytes: batch * selection.buckets * (selection.keep + Number(hasTail(layer))) * 8,
    },
    { name: "chosen", role: "scratch", bytes: batch * candidates * 8 },
    { name: "meetings", role: "scratch", bytes: meetingsWords(layer) * 4 },
    ...planOutputs(layer, profile),
  ];
}

function slicesOf(layer: LayerPlan, role: TensorPlan["role"], profile: Profile): Slices {
  if (role === "exact") return rowSlices(layer, profile);
  if (role === "bundles" && layer.kind === "ffn") return groupSlices(layer, profile);
  if (!isTiled(role)) return { total: 1, each: 1 };
  return bucketSlices(layer, profile);
}

function planOutputs(layer: LayerPlan, profile: Profile): BufferPlan[] {
  const { batch, k } = layer;
  if (layer.kind === "softmax" && layer.shard) {
    return [{ name: "pairs", role: "output", bytes: pairsWords(layer) * 4 }, ...certificateBuffers(layer, profile)];
  }
  if (layer.kind === "softmax") {
    return [
      { name: "indices", role: "output", bytes: batch * k * 4 },
      { name: "values", role: "output", bytes: batch * k * 4 },
      ...(hasTail(layer) ? [{ name: "tail", role: "scratch" as const, bytes: batch * 8 }] : []),
      ...(layer.logSumExp ? [{ name: "lse", role: "output" as const, bytes: batch * 4 }] : []),
      ...(layer.sampler ? [{ name: "sampled", role: "output" as const, bytes: batch * 4 }] : []),
      ...certificateBuffers(layer, profile),
    ];
  }
  const { slots, outputQuads } = gatherShape(layer);
  return [
    { name: "slots", role: "scratch", bytes: batch * layer.group.count * 4 },
    { name: "partials", role: "scratch", bytes: batch * slots * outputQuads * 16 },
    { name: "output", role: "output", bytes: batch * layer.outputs * 4 },
    { name: "groups", role: "output", bytes: batch * k * 4 },
  ];
}

/** Whether rows that are no candidates count in the log-sum-exp. */
export function hasTail({ logSumExp }: ScoredPlan): boolean {
  return logSumExp === "all" || logSumExp === "estimates";
}

/**
 * Whether int8 scores are multiplied with the token's scale: where something besides their order matters. Otherwise they
 * are not, because it changes no order within a token.
 */
export function hasTokenScale({ estimator, bias, logSumExp }: ScoredPlan): boolean {
  return (
    estimator.kind === "quantized" &&
    estimator.activations === "int8" &&
    (bias !== undefined || logSumExp === "estimates")
  );
}

/** u32 words of the mask, a bit per row. */
export function maskWords({ rows }: Pick<ScoredPlan, "rows">): number {
  return Math.ceil(rows / 32);
}

export function maskBinding(layer: ScoredPlan): BindingPlan {
  return binding("mask", "read", "array<u32>", `[${maskWords(layer)}] bit r mod 32 of word r / 32: row r is allowed`);
}

export function biasBinding({ rows }: ScoredPlan): BindingPlan {
  return binding("bias", "read", "array<f32>", `[${rows}] added to the scores`);
}

/** 16-byte chunks of a token's int8 codes. */
export function tokenChunks({ estimator }: ScoredPlan): number {
  return estimator.kind === "quantized" ? (estimator.group * estimator.groups) / 16 : 0;
}

/** vec4<f32> of a token that meet the columns of a scored row. */
export function scoreQuads(layer: ScoredPlan): number {
  const { estimator } = layer;
  return (estimator.kind === "quantized" ? estimator.group * estimator.groups : exactStride(layer)) / 4;
}

export function scoredBindings({ estimator, tensors, tiling, rows, inputs }: ScoredPlan): BindingPlan[] {
  return tensors
    .filter(({ role }) => isTiled(role))
    .map(({ role, shape }) => {
      const at = `[${shape.slice(0, role === "codes" || role === "low_codes" || role === "weights" ? 4 : shape.length).join(", ")}]`;
      switch (role) {
        case "codes":
        case "low_codes": {
          const bits = estimator.kind === "quantized" ? estimator.bits : 8;
          const { low } = codeFormat(bits);
          const words = shape[4]!;
          const part = low === 0 ? "" : role === "codes" ? `, their upper ${bits - low}` : `, their lower ${low}`;
          return binding(
            role,
            "read",
            words === 1 ? "array<u32>" : `array<vec${words}<u32>>`,
            `${at} bucket, tile, step, lane: ${codesPerStep(bits)} codes of ${bits} bits${part}`,
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

/** What is scored: the tokens, or what a low-rank estimator projected them to. */
export function scoredInput(layer: ScoredPlan): BindingPlan {
  if (layer.estimator.kind !== "lowRank") return inputBinding(layer);
  const { batch, estimator } = layer;
  const x = binding("x", "read", "array<f32>", `[${batch}, ${estimator.rank}] tokens on the basis`);
  return { ...x, buffer: "projected" };
}

export function inputBinding({ batch, inputs }: ScoredPlan): BindingPlan {
  return binding("x", "read", "array<f32>", `[${batch}, ${inputs}] tokens`);
}

/** One buffer for both, since a kernel binds no more than eight. */
export function tokenCodes(layer: ScoredPlan, profile: Profile): BindingPlan {
  const { batch, certificate } = layer;
  const chunks = tokenChunks(layer);
  // So that the codes of 8 tokens which a warp multiplies at a time lie side by side.
  const shape = usesTensorCores(layer, profile)
    ? `[${chunks / 2}, ${batch}, 2] span, token, half:`
    : `[${batch}, ${chunks}]`;
  const largest = certificate ? "" : `, then [${batch}] bits of the largest |x| of a token`;
  return binding("token_codes", "read", "array<vec4<u32>>", `${shape} 16 int8 codes each${largest}`);
}

export function tokenNorms({ batch }: ScoredPlan): BindingPlan {
  return binding("token_norms", "read", "array<vec2<f32>>", `[${batch}] norms of a token and of its codes' error`);
}

export function exactBinding({ tensors, dtype }: ScoredPlan): BindingPlan {
  const { shape } = tensors.find(({ role }) => role === "exact")!;
  return binding("exact", "read", "array<vec4<u32>>", `[${shape.join(", ")}] ${dtype} weights, row by row`);
}

export function survivorsBinding(layer: ScoredPlan, access: BindingPlan["access"]): BindingPlan {
  const { selection } = layer;
  const shape = `[${layer.batch}, ${selection.buckets}, ${selection.keep}]`;
  const tails = hasTail(layer) ? `, then [${layer.batch}, ${selection.buckets}] the tails of the buckets` : "";
  return binding("survivors", access, "array<vec2<u32>>", `${shape} token, bucket, rank: key and row${tails}`);
}

export function tailBinding({ batch }: ScoredPlan, access: BindingPlan["access"]): BindingPlan {
  return binding("tail", access, "array<vec2<u32>>", `[${batch}] the sum of exp over the rows that are no candidates`);
}

export function samplerBindings({ batch, sampler }: ScoredPlan): BindingPlan[] {
  const uniforms = binding("uniforms", "read", "array<f32>", `[${batch}] uniform numbers in [0, 1)`);
  const sampled = binding("sampled", "read_write", "array<u32>", `[${batch}] a row of the results each`);
  return sampler === "multinomial" ? [uniforms, sampled] : [sampled];
}

/** What a shard sends: of every token what no other row may score above, and then its best rows. */
export function pairsBinding({ batch, k }: ScoredPlan): BindingPlan {
  const note = `[${batch}, ${1 + k}] key of the bound of all other rows, then keys of exact scores and rows, best first`;
  return binding("pairs", "read_write", "array<vec2<u32>>", note);
}

function pairsWords({ batch, k }: ScoredPlan): number {
  return batch * (1 + k) * 2;
}

export function chosenBinding({ batch, candidates }: ScoredPlan, access: BindingPlan["access"]): BindingPlan {
  return binding("chosen", access, "array<vec2<u32>>", `[${batch}, ${candidates}] key and row`);
}

export function binding(name: string, access: BindingPlan["access"], type: string, note: string): BindingPlan {
  return { name, access, type, note };
}
