// Selectors: how the candidates are found among the estimated scores.

import { type Built, builder } from "./built.ts";

export interface TwoStageOptions {
  /**
   * Expected share of the `candidates` best estimated rows that survive the first stage, above 0 and at most 1. Buckets
   * and survivors per bucket follow from it through the closed form of arXiv 2506.04165, Theorem 1.
   */
  readonly recall: number;
}

export interface StatisticalOptions {
  /**
   * How many rows (groups of a feed-forward) are to lie above the threshold, if scores are normally distributed. From
   * `candidates` on. Default `2 · candidates`.
   */
  readonly expected?: number;
}

export type Exact = Built<"exact", undefined>;
export type TwoStage = Built<"twoStage", TwoStageOptions>;
export type Statistical = Built<"statistical", StatisticalOptions | undefined>;
export type Selector = Exact | TwoStage | Statistical;

const buildExact = builder<"exact", undefined>("exact") as (options?: undefined) => Exact;

/** Exactly the best estimated rows. */
export const exact: () => Exact = buildExact;

/** The best few of every bucket of interleaved rows, then the best of those. */
export const twoStage: (options: TwoStageOptions) => TwoStage = builder("twoStage");

/**
 * The rows of every bucket above mean + quantile · deviation of its scores, then the best of those (arXiv 2506.06644). It
 * ranks nothing in the first stage. Where fewer than `k` rows lie above, the places that are left stay empty.
 */
export const statistical: (options?: StatisticalOptions) => Statistical = builder("statistical");
