// What a measured share is worth: a bound that holds with 95 % confidence for as many tokens as were measured.

import type { Quality } from "../../runtime/measure/quality.ts";
import type { Target } from "./result.ts";

/** The standard-normal quantile of 95 %. */
const Z = 1.6448536269514722;

/** What a bound follows from. */
export type Shares = Pick<Quality, "tokens" | "recallVariance" | "agreement" | "certified"> & {
  readonly recall: Pick<Quality["recall"], "mean">;
};

/** What the measure of the target is on a part. */
export function measured({ measure }: Target, quality: Shares): number {
  if (measure === "certified") return quality.certified ?? 0;
  return measure === "recall" ? quality.recall.mean : quality.agreement;
}

/**
 * A lower bound of the measure of the target: Wilson's, of a binomial share. The k rows of a token are found or missed
 * together to some degree, which the variance over tokens shows; they count as so many independent ones (Kish's design effect).
 */
export function lowerBound(target: Target, quality: Shares, k: number): number {
  const { tokens } = quality;
  const share = measured(target, quality);
  return target.measure === "recall" ? recallBound(quality, k) : wilson(share, tokens);
}

/** The same of recall alone, of k rows per token. */
export function recallBound(
  { tokens, recall: { mean: share }, recallVariance }: Pick<Shares, "tokens" | "recall" | "recallVariance">,
  k: number,
): number {
  const independent = (share * (1 - share)) / k;
  const effect = independent === 0 ? 1 : Math.min(k, Math.max(1, recallVariance / independent));
  return wilson(share, (tokens * k) / effect);
}

/** Wilson 1927: the score interval, from below. */
function wilson(share: number, count: number): number {
  const square = Z * Z;
  const centre = share + square / (2 * count);
  const spread = Z * Math.sqrt((share * (1 - share)) / count + square / (4 * count * count));
  return Math.max(0, (centre - spread) / (1 + square / count));
}

/** Held-out tokens without a single miss that a bound of the target's value takes. */
export function tokensFor({ measure, value }: Target, k: number): number {
  // wilson(1, count) is 1 / (1 + Z² / count).
  const count = (Z * Z * value) / (1 - value);
  return Math.ceil(measure === "recall" ? count / k : count);
}
