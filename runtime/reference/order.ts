// The order of results.

/** Whether row A comes before row B: NaN first, larger first; values below 2^-126 in magnitude count as 0, values beyond
 * f32 as infinite; ties to the lower row. */
export function better(a: number, rowA: number, b: number, rowB: number): boolean {
  const [x, y] = [settled(a), settled(b)];
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) && (!Number.isNaN(y) || rowA < rowB);
  return x > y || (x === y && rowA < rowB);
}

/** A value as f32 results show it: too small is 0, too large is infinite. */
export function settled(value: number): number {
  if (Math.abs(value) < 2 ** -126) return 0;
  return Number.isFinite(Math.fround(value)) ? value : Math.fround(value);
}

/** Best first, in place. */
export function sortRows(rows: number[], scores: Float64Array): number[] {
  return rows.sort((a, b) => (better(scores[a]!, a, scores[b]!, b) ? -1 : 1));
}
