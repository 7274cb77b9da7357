// Which layers a CUDA kernel scores with tensor cores. Here, because it decides what is fused as well as what is scheduled.

import type { ScoredPlan } from "../runtime/plan.ts";
import type { Profile } from "./profiles.ts";

/** Of what `scoredView` gives, that of a checked layer or of a planned one. */
interface Scored {
  readonly batch: number;
  readonly estimator: { readonly kind: string; readonly bits?: number; readonly activations?: "int8" | "f32" };
}

const LEAST_BATCH = 4;

export function usesTensorCores({ batch, estimator }: Scored, { target }: Profile): boolean {
  const { kind, bits, activations } = estimator;
  const inOnePlane = bits === 4 || bits === 8;
  return target === "cuda" && kind === "quantized" && inOnePlane && activations === "int8" && batch >= LEAST_BATCH;
}

/** Columns that one instruction multiplies (PTX ISA, `mma.m16n8k32`). */
const SPAN = 32;

/** Spans of a row whose codes are loaded at once: those of four groups of 32, or of one group of 128. */
const MOST_PER_ROUND = 4;

/** How the columns of a scored row are taken. */
export function spansOf({ estimator, inputs }: ScoredPlan) {
  const columns = estimator.kind === "quantized" ? estimator.group * estimator.groups : inputs;
  const count = Math.ceil(columns / SPAN);
  const perRound = Math.min(MOST_PER_ROUND, 2 ** Math.floor(Math.log2(count)));
  return { count, perRound, rounds: Math.ceil(count / perRound) };
}
