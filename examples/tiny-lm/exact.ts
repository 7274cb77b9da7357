// What tiny-lm's layers choose when every weight is exact, from the weights as they were trained: what a compiled layer is
// measured against.

import { project } from "./projection.ts";
import type { Config, LayerWeights, Weights } from "./weights.ts";

/** The exact top k of one position: groups of neurons, or rows of the head. */
export type ExactChoice = (x: Float32Array, k: number) => number[];

/** Groups by their largest gate pre-activation, best first, ties to the lower one. */
export function exactGroups({ ffn_group_size: size }: Config, { gate }: LayerWeights): ExactChoice {
  return (x, k) => {
    const values = project(gate, x);
    const largest = Array.from({ length: values.length / size }, (_, group) =>
      Math.max(...values.subarray(group * size, (group + 1) * size)),
    );
    return bestOf(largest, k);
  };
}

export function exactRows({ embedding }: Weights): ExactChoice {
  return (x, k) => bestOf(project(embedding, x), k);
}

/** The natural logarithm of the probability that the exact head gives to a token. */
export function exactLogProbability({ embedding }: Weights, x: Float32Array, token: number): number {
  const logits = project(embedding, x);
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const powers = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  return logits[token]! - largest - Math.log(powers);
}

function bestOf(scores: ArrayLike<number>, count: number): number[] {
  return Array.from(scores, (_, i) => i)
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, count);
}
