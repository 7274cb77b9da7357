// What a backend left in the buffer of survivors.

import type { SoftmaxResult } from "../../runtime/layer.ts";
import type { ScoredPlan } from "../../runtime/plan.ts";
import type { Found } from "./judge.ts";

export function rowOf<Values extends Float32Array | Float64Array | Uint32Array>(
  matrix: Values,
  columns: number,
  row: number,
) {
  return matrix.subarray(row * columns, (row + 1) * columns) as Values;
}

/** One token's part of a result. */
export function resultOf({ indices, values, certified, lse, sampled }: SoftmaxResult, k: number, token: number) {
  const found: Found & { readonly certified?: number } = {
    indices: rowOf(indices, k, token),
    values: rowOf(values, k, token),
    ...(certified && { certified: certified[token]! }),
    ...(lse && { lse: lse[token]! }),
    ...(sampled && { sampled: sampled[token]! }),
  };
  return found;
}

/** The survivors of a token as the kernel left them, bucket by bucket, and the best of them by key. */
export function selected({ selection: { buckets, keep }, candidates }: ScoredPlan, words: Uint32Array, token: number) {
  const pairs = Array.from({ length: buckets * keep }, (_, i) => {
    const at = (token * buckets * keep + i) * 2;
    return { key: words[at]!, row: words[at + 1]! };
    // A bucket with fewer rows than it may keep fills up with key 0.
  }).filter(({ key }) => key !== 0);
  const ordered = [...pairs].sort((a, b) => b.key - a.key || a.row - b.row);
  return { survivors: pairs.map(({ row }) => row), candidates: ordered.slice(0, candidates).map(({ row }) => row) };
}
