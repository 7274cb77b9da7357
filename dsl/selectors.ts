// Selectors: how the candidates are found among the estimated scores.

import { type Built, builder } from "./built.ts";

export interface TwoStageOptions {
  /**
   * Expected share of the `candidates` best estimated rows that survive the first stage, above 0 and at most 1. Buckets
   * and survivors per bucket follow from it through the closed form of arXiv 2506.04165, Theorem 1.
   */
  readonly recall: number;
}

export type Exact = Built<"exact", undefined>;
export type TwoStage = Built<"twoStage", TwoStageOptions>;
export type Selector = Exact | TwoStage;

const buildExact = builder<"exact", undefined>("exact") as (options?: undefined) => Exact;

/** Exactly the best estimated rows. */
export const exact: () => Exact = buildExact;

/** The best few of every bucket of interleaved rows, then the best of those. */
export const twoStage: (options: TwoStageOptions) => TwoStage = builder("twoStage");
