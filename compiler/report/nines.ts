// An axis on which shares near 1 can be told apart: each step up has a tenth of the misses.

/** Where a share lies on the axis: 0.9 at 1, 0.99 at 2. @param most where 1 lies, for which no step is enough. */
export function nines(share: number, most: number): number {
  return Math.min(most, -Math.log10(Math.max(1 - share, 10 ** -most)));
}

/** Where "no miss was seen" lies, a third of a step above the smallest share of misses that can be seen. */
export function topOf(shares: readonly number[]): number {
  const misses = shares.map((share) => 1 - share).filter((miss) => miss > 1e-12);
  return misses.length === 0 ? 1 : -Math.log10(Math.min(0.5, ...misses)) + 1 / 3;
}

/** The axis from a share on. @param top as `topOf` has it. */
export function ninesAxis(title: string, least: number, top: number) {
  const shares = [0, 0.2, 0.5, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999];
  const shown = shares.filter((share) => share >= least && nines(share, 9) <= top - 0.15);
  const label = (share: number) => `${Number((share * 100).toFixed(3))} %`;
  const values = [...shown.map((share) => nines(share, 9)), top];
  const labels = [...shown.map(label), "100 %"];
  return {
    type: "quantitative",
    scale: { domain: [nines(least, 9), top] as number[], nice: false, zero: false, clamp: true },
    axis: { title, values, labelExpr: `${JSON.stringify(labels)}[indexof(${JSON.stringify(values)}, datum.value)]` },
  } as const;
}
