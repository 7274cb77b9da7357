// The expected recall of two-stage selection, in closed form.
// Source: Samaga et al., arXiv 2506.04165, Theorem 1. Rows fall into buckets at random; the `keep` best of each bucket
// survive; of the `wanted` best rows, a bucket that holds r loses max(0, r - keep). The number a bucket holds is
// hypergeometric.

export interface Buckets {
  readonly rows: number;
  /** Row r belongs to bucket r mod count, so sizes differ by at most one. */
  readonly count: number;
}

/**
 * Expected share of the `wanted` best rows that survive when every bucket keeps `keep`.
 * Exact up to rounding when the best rows lie at random; 1 when `keep` covers whole buckets or all wanted rows.
 */
export function expectedRecall({ rows, count }: Buckets, wanted: number, keep: number): number {
  const size = Math.floor(rows / count);
  const larger = rows % count;
  const survivors =
    larger * expectedSurvivors(rows, size + 1, wanted, keep) +
    (count - larger) * expectedSurvivors(rows, size, wanted, keep);
  return Math.min(1, survivors / wanted);
}

/**
 * The smallest number that every bucket must keep for an expected recall of at least `target`, and for at least `wanted`
 * rows to survive at all.
 */
export function smallestKeep(buckets: Buckets, wanted: number, target: number): number {
  const largest = Math.min(wanted, Math.ceil(buckets.rows / buckets.count));
  // A loss too small for a float64 is a loss all the same, and 1 promises that there is none.
  if (target === 1) return largest;
  for (let keep = 1; keep < largest; keep++) {
    if (survivorCount(buckets, keep) >= wanted && expectedRecall(buckets, wanted, keep) >= target) return keep;
  }
  return largest;
}

/** How many rows survive when every bucket keeps `keep`. */
export function survivorCount({ rows, count }: Buckets, keep: number): number {
  const size = Math.floor(rows / count);
  const larger = rows % count;
  return larger * Math.min(keep, size + 1) + (count - larger) * Math.min(keep, size);
}

/** E[min(r, keep)] for r hypergeometric: how many of `wanted` special rows a bucket of `size` out of `rows` passes on. */
function expectedSurvivors(rows: number, size: number, wanted: number, keep: number): number {
  const fewest = Math.max(0, size + wanted - rows);
  const most = Math.min(size, wanted);
  // Probabilities span hundreds of orders of magnitude, so the first one is made of logarithms and the rest follow by
  // their ratios, also in logarithms.
  let logProbability = logChoose(wanted, fewest) + logChoose(rows - wanted, size - fewest) - logChoose(rows, size);
  let expected = 0;
  for (let r = fewest; r <= most; r++) {
    expected += Math.exp(logProbability) * Math.min(r, keep);
    logProbability += Math.log(((wanted - r) * (size - r)) / ((r + 1) * (rows - wanted - size + r + 1)));
  }
  return expected;
}

function logChoose(n: number, k: number): number {
  return logFactorial(n) - logFactorial(k) - logFactorial(n - k);
}

/** ln n!, by summation where that is short and by Stirling's series (error below 1e-13) beyond. */
function logFactorial(n: number): number {
  if (n < 32) {
    let sum = 0;
    for (let i = 2; i <= n; i++) sum += Math.log(i);
    return sum;
  }
  const inverse = 1 / n;
  const series = inverse * (1 / 12 - inverse ** 2 * (1 / 360 - inverse ** 2 * (1 / 1260)));
  return (n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + series;
}
