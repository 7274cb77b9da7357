// Tokens differ in scale. Counted in deviations of the token's exact scores above their mean, the scores of all tokens of a
// layer look alike, and so do exact and estimated ones.

/** A function from scores of a token to deviations; always 0 where the exact ones do not vary. */
export function deviationsOf(exact: ArrayLike<number>): (score: number) => number {
  let [sum, squares, count] = [0, 0, 0];
  for (let i = 0; i < exact.length; i++) {
    if (!Number.isFinite(exact[i])) continue;
    sum += exact[i]!;
    count++;
  }
  const mean = sum / count;
  for (let i = 0; i < exact.length; i++) if (Number.isFinite(exact[i])) squares += (exact[i]! - mean) ** 2;
  const deviation = Math.sqrt(squares / count);
  return (score) => (deviation > 0 ? (score - mean) / deviation : 0);
}
