// Sums over ranks: f32 additions in the order of the ranks. MPI's own reductions promise equal bits on all ranks (MPI 4.0
// §6.9.6), but in an order that each library chooses; in this order every engine returns the same bits.

/** @param parts of equal length, rank by rank, at least one. */
export function addInRankOrder(parts: readonly Float32Array[]): Float32Array {
  const sum = parts[0]!.slice();
  for (const part of parts.slice(1)) {
    for (let i = 0; i < sum.length; i++) sum[i]! += part[i]!;
  }
  return sum;
}
