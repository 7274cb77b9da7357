// Which layers a CUDA kernel scores with tensor cores, and in which parts it takes their rows. Whoever fuses asks as well as
// whoever schedules.

import type { ScoredPlan } from "../runtime/plan.ts";
import type { Profile } from "./profiles.ts";

/** What a checked layer and a planned one have in common, as `scored-view.ts` shows them. */
interface Scored {
  readonly batch: number;
  readonly estimator: { readonly kind: string; readonly bits?: number; readonly activations?: "int8" | "f32" };
}

/**
 * Tokens of a launch from which tensor cores score. What a warp issues for 32 rows and 32 columns, counted in the inner loops
 * that nvcc 13.0 makes for sm_90:
 *
 * | tokens                              | 1  | 2  | 3  | 4  | 8   | 16  |
 * | ----------------------------------- | -- | -- | -- | -- | --- | --- |
 * | 4 bits, groups of 32: dp4a          | 34 | 46 | 58 | 70 | 120 | 234 |
 * | 4 bits, groups of 32: tensor cores  |    |    |    | 46 | 46  | 66  |
 * | 8 bits, groups of 128: dp4a         | 24 | 34 | 45 | 55 | 96  | 192 |
 * | 8 bits, groups of 128: tensor cores |    |    |    | 21 | 21  | 28  |
 *
 * While an H200 reads the 544 bytes of the former, a scheduler has about 120 cycles (4.2 TB/s, 132 multiprocessors of 4
 * schedulers, 1.75 GHz): dp4a has used up half of them at 4 tokens, and all at 8. With fewer tokens both hide under the
 * reading, and dp4a needs a fourth of the loads. To be measured on a GPU.
 */
const LEAST_BATCH = 4;

/** Of what `scoredView` or `checkedView` shows. Codes in two planes stay with dp4a. */
export function usesTensorCores({ batch, estimator }: Scored, { target }: Profile): boolean {
  const { kind, bits, activations } = estimator;
  const isOnePlane = bits === 4 || bits === 8;
  return target === "cuda" && kind === "quantized" && isOnePlane && activations === "int8" && batch >= LEAST_BATCH;
}

/** Columns that one instruction multiplies (PTX ISA, `mma.m16n8k32`). */
const SPAN = 32;

/**
 * Spans of a row whose codes a warp asks for before it needs the first: with 4 bits, 2 KiB of its 32 rows, and with 8 bits 4.
 * A multiprocessor of 16 warps then waits for 32 KiB, more than it takes to keep its memory busy (docs/architecture.md). No
 * group has more spans.
 */
const MOST_PER_ROUND = 4;

/** How the columns of a scored row are taken: in rounds of so many spans. */
export function spansOf({ estimator, inputs }: ScoredPlan) {
  const columns = estimator.kind === "quantized" ? estimator.group * estimator.groups : inputs;
  const count = Math.ceil(columns / SPAN);
  const perRound = Math.min(MOST_PER_ROUND, 2 ** Math.floor(Math.log2(count)));
  return { count, perRound, rounds: Math.ceil(count / perRound) };
}
