// Samplers: how one row is drawn from the results of each token.

import { type Built, builder } from "./built.ts";

export interface MultinomialOptions {
  /** Draws from the best so many results only, 1 to `k`. Default `k`. */
  readonly topK?: number;
  /**
   * Nucleus sampling: draws from the fewest best results whose probabilities add up to this, above 0 and at most 1.
   * Probabilities are those among the `topK`. Default 1, which is all of them.
   */
  readonly topP?: number;
}

export type Greedy = Built<"greedy", undefined>;
export type Multinomial = Built<"multinomial", MultinomialOptions | undefined>;
export type Sampler = Greedy | Multinomial;

const buildGreedy = builder<"greedy", undefined>("greedy") as (options?: undefined) => Greedy;

/** The best row. */
export const greedy: () => Greedy = buildGreedy;

const buildMultinomial = builder<"multinomial", MultinomialOptions | undefined>("multinomial") as (
  options?: MultinomialOptions,
) => Multinomial;

/** A row drawn with the probabilities of the softmax of the values, by a uniform number that the caller brings. */
export const multinomial: (options?: MultinomialOptions) => Multinomial = buildMultinomial;
