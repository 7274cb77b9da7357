// Blocks that share the rescoring of a token in CUDA, and how they meet.

import type { BindingPlan, LayerPlan } from "../../runtime/plan.ts";
import { budgetOf, type Profile } from "../profiles.ts";
import { binding } from "./buffers.ts";
import { MULTIPROCESSORS } from "./kernel.ts";

/** Exact bytes that are worth a block of their own: a multiprocessor alone takes about a microsecond for them. */
const PART_BYTES = 16 * 1024;

/** Rows that a block has in work at a time, a warp each. */
const ROWS_AT_A_TIME = 8;

/**
 * One multiprocessor reads a small share of what the memory can give, so several share the candidates of a token as soon as
 * there are bytes for them. More blocks than multiprocessors, or than there are rows for their warps, help nothing. Where the
 * candidates do not fit into shared memory, in which the last block ranks them, there is one.
 * @param wanted instead, if there are rows for them.
 */
export function rescoreParts(layer: LayerPlan, profile: Profile, wanted?: number): number {
  const { batch, candidates, estimator, bytes, kind } = layer;
  const rescores = kind === "softmax" && estimator.kind !== "dense";
  const fits = candidates * 8 <= budgetOf(profile).workgroupBytes / 2;
  if (profile.target !== "cuda" || !rescores || !fits) return 1;
  const most = Math.floor(candidates / ROWS_AT_A_TIME);
  const parts = wanted ?? Math.floor(Math.min(bytes.rescore / PART_BYTES, MULTIPROCESSORS / batch));
  return Math.max(1, Math.min(parts, most));
}

/** Zeroed by a kernel before, since scratch memory may hold anything. */
export function meetingsBinding({ batch }: LayerPlan): BindingPlan {
  const note = `[${batch}, 2] of a token: candidates that are scored, and blocks that are done`;
  return binding("meetings", "read_write", "array<u32>", note);
}

/** Words of `meetingsBinding`. */
export function meetingsWords({ batch }: LayerPlan): number {
  return batch * 2;
}
