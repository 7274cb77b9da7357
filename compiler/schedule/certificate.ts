// What certificates and fallbacks add to a layer: buffers, their bindings, and the numbers of the bounds.

import type { BindingPlan, BufferPlan, ScoredPlan } from "../../runtime/plan.ts";
import type { Profile } from "../profiles.ts";
import { binding } from "./buffers.ts";
import { rowSlices } from "./slices.ts";

/** Rows that a workgroup of a fallback scores: its keys take 2 KiB, and each is compared with all others. */
export const BLOCK_ROWS = 512;

/** How the rows of a layer are cut for a fallback: each slice of the exact weights into blocks. */
export interface Blocks {
  readonly slices: number;
  readonly perSlice: number;
  /** Best rows of a block that may be among the k best of all. */
  readonly keep: number;
}

export function blocksOf(layer: ScoredPlan, profile: Profile): Blocks {
  const { total, each } = rowSlices(layer, profile);
  return {
    slices: Math.ceil(total / each),
    perSlice: Math.ceil(each / BLOCK_ROWS),
    keep: Math.min(layer.k, BLOCK_ROWS),
  };
}

/** The best rows of every block of every token that is recomputed. */
export function exactSurvivors(layer: ScoredPlan, profile: Profile) {
  const { slices, perSlice, keep } = blocksOf(layer, profile);
  const shape = [layer.batch, slices * perSlice, keep];
  const note = `[${shape.join(", ")}] token, block, rank: key of the exact score, and row`;
  return {
    perToken: slices * perSlice * keep,
    binding: binding("exact_survivors", "read_write", "array<vec2<u32>>", note),
  };
}

export function failedBinding({ batch }: ScoredPlan, access: BindingPlan["access"]): BindingPlan {
  return binding("failed", access, "array<u32>", `[1 + ${batch}] how many tokens are not certified, and which`);
}

export function droppedBinding({ batch }: ScoredPlan, access: BindingPlan["access"]): BindingPlan {
  return binding("dropped", access, "array<u32>", `[${batch}] the largest key that is no candidate's`);
}

export function certificateBuffers(layer: ScoredPlan, profile: Profile): BufferPlan[] {
  const { batch, certificate } = layer;
  if (!certificate) return [];
  const buffers: BufferPlan[] = [
    { name: "token_norms", role: "scratch", bytes: batch * 8 },
    { name: "dropped", role: "scratch", bytes: batch * 4 },
    { name: "certified", role: "output", bytes: batch * 4 },
  ];
  if (certificate.kind === "report") return buffers;
  return [
    ...buffers,
    { name: "failed", role: "scratch", bytes: (1 + batch) * 4 },
    { name: "exact_survivors", role: "scratch", bytes: batch * exactSurvivors(layer, profile).perToken * 8 },
    { name: "fallback_grids", role: "indirect", bytes: 24 },
  ];
}

/** The step of a token's codes is its largest value times this. */
export const STEP = Math.fround(1 / 127);

/** The numbers that bounds are made with; none where scores are exact. */
export function certificateConstants({ certificate, estimator }: ScoredPlan): Readonly<Record<string, number>> {
  if (!certificate?.slack || estimator.kind !== "quantized") return {};
  const { rounding, growth, norm } = certificate.slack;
  return { ROUNDING: rounding, GROWTH: growth, ...(estimator.activations === "f32" && { NORM: norm }) };
}
