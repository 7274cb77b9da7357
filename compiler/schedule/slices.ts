// Matrices that are larger than a profile's largest binding, cut into slices that are not. A slice of the scored copy is
// a range of buckets, a slice of the exact weights a range of rows; a sliced kernel is launched once per slice.

import type { FfnPlan, LaunchPlan, ScoredPlan, TensorPlan } from "../../runtime/plan.ts";
import { exactRowBytes } from "../padding.ts";
import { budgetOf, type Profile } from "../profiles.ts";

/** A matrix cut into ranges of `each` buckets or rows; the last range may be shorter. */
export interface Slices {
  readonly total: number;
  readonly each: number;
}

/** Whether a tensor lies in buckets and tiles, for the scoring kernel; others lie row by row. */
export function isTiled(role: TensorPlan["role"]): boolean {
  return !["exact", "bundles", "basis", "basis_scales", "bias", "up_bias", "down_bias"].includes(role);
}

/** Buckets per launch of the scoring kernel: all scored tensors are cut alike. */
export function bucketSlices({ tensors, selection }: ScoredPlan, profile: Profile): Slices {
  const scored = tensors.filter(({ role }) => isTiled(role)).map(({ bytes }) => bytes);
  return slices(selection.buckets, Math.max(...scored) / selection.buckets, budgetOf(profile).bindingBytes);
}

/** Rows per launch of the rescoring kernel. */
export function rowSlices(layer: ScoredPlan, profile: Profile): Slices {
  return slices(layer.rows, exactRowBytes(layer), budgetOf(profile).bindingBytes);
}

/** Groups per launch of the gathering kernel, which has a workgroup for each. */
export function groupSlices({ tensors, group }: FfnPlan, profile: Profile): Slices {
  const { bytes } = tensors.find(({ role }) => role === "bundles")!;
  const { bindingBytes, workgroups } = budgetOf(profile);
  return slices(group.count, bytes / group.count, bindingBytes, workgroups);
}

/** One launch per slice; `workgroups` gives the grid for so many buckets or rows. */
export function launchesOf(
  { total, each }: Slices,
  workgroups: (count: number) => LaunchPlan["workgroups"],
): readonly LaunchPlan[] {
  if (each >= total) return [{ workgroups: workgroups(total) }];
  return Array.from({ length: Math.ceil(total / each) }, (_, slice) => ({
    workgroups: workgroups(Math.min(each, total - slice * each)),
    first: slice * each,
  }));
}

/** Bytes of every slice of a tensor of `bytes`. */
export function sliceBytes({ total, each }: Slices, bytes: number): readonly number[] {
  return launchesOf({ total, each }, (count) => [count, 1, 1]).map(({ workgroups }) => (bytes / total) * workgroups[0]);
}

/** As few slices as fit, and those as even as possible. A single bucket or row that does not fit is left to the limits. */
function slices(total: number, bytesOfOne: number, limit: number, most = total): Slices {
  const fitting = Math.min(total, most, Math.max(1, Math.floor(limit / bytesOfOne)));
  return { total, each: Math.ceil(total / Math.ceil(total / fitting)) };
}
