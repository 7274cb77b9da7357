// Selection by a threshold instead of by rank: a bucket keeps the rows above mean + quantile · deviation of its scores.
// Source: You et al., Spark Transformer, arXiv 2506.06644, §3 (statistical top-k); the recall is derived here.

import { normalDensity, normalQuantile, normalTail } from "./normal.ts";
import type { Buckets } from "./recall.ts";

/** Odds that a bucket of normally distributed scores has more rows above its threshold than it keeps. */
const OVERFLOW = 1e-6;

/** How many deviations above the mean `expected` of the rows lie. */
export function thresholdQuantile(rows: number, expected: number): number {
  return normalQuantile(expected / rows);
}

/** The smallest number of rows to keep per bucket that overflows less often than OVERFLOW. */
export function roomAbove({ rows, count }: Buckets, expected: number): number {
  const size = Math.ceil(rows / count);
  const share = expected / rows;
  // A threshold that is two of its own deviations too low.
  const low = normalQuantile(share) - 2 * thresholdDeviation(size, share);
  const highShare = Math.min(1, normalTail(low));
  const ratio = highShare / (1 - highShare);
  let logProbability = size * Math.log1p(-highShare);
  let tail = 1;
  for (let above = 0; above < size; above++) {
    tail -= Math.exp(logProbability);
    if (tail < OVERFLOW) return Math.max(1, above);
    logProbability += Math.log(((size - above) / (above + 1)) * ratio);
  }
  return size;
}

/**
 * Expected share of the `wanted` best rows that lie above the threshold of their bucket, when scores are normally
 * distributed: the score of the r-th best row and the threshold of a bucket are both nearly normal about their quantiles.
 */
export function shareAbove({ rows, count }: Buckets, wanted: number, expected: number): number {
  const threshold = thresholdQuantile(rows, expected);
  const ofThreshold = thresholdDeviation(rows / count, expected / rows);
  const ranks = Math.min(wanted, 512);
  let sum = 0;
  for (let i = 0; i < ranks; i++) {
    const share = ((i + 0.5) * wanted) / ranks / rows;
    const score = normalQuantile(share);
    const ofScore = Math.sqrt((share * (1 - share)) / rows) / normalDensity(score);
    sum += normalTail((threshold - score) / Math.hypot(ofThreshold, ofScore));
  }
  return sum / ranks;
}

/** The deviation of mean + quantile · deviation, of so many numbers. */
function thresholdDeviation(size: number, share: number): number {
  return Math.sqrt((1 + normalQuantile(share) ** 2 / 2) / size);
}
