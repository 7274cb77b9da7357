// What every backend offers for a softmax layer, and where it takes packed weights from.

import { HireError } from "./errors.ts";
import type { SoftmaxPlan, TensorPlan } from "./plan.ts";

/** The best rows of each token: `k` per token, values descending, ties to the lower index. */
export interface SoftmaxResult {
  /** `[tokens, k]`; 0xFFFFFFFF where a token has fewer than `k` rows. */
  readonly indices: Uint32Array;
  /** `[tokens, k]` exact scores; -Infinity where a token has fewer than `k` rows. */
  readonly values: Float32Array | Float64Array;
}

/** Bytes of a packed tensor, asked for one tensor at a time. */
export type WeightSource = (tensor: TensorPlan) => Promise<Uint8Array> | Uint8Array;

/**
 * The number of tokens in `x`, which is `[tokens, inputs]`.
 * @throws HireError HIRE-RUN-002 when `x` does not hold whole tokens, or none.
 */
export function tokenCount(layer: string, { inputs }: SoftmaxPlan, x: Float32Array): number {
  const tokens = x.length / inputs;
  if (tokens >= 1 && Number.isInteger(tokens)) return tokens;
  throw new HireError({
    code: "HIRE-RUN-002",
    message: `The input of layer "${layer}" has ${x.length} numbers, which is not a whole number of tokens of ${inputs}`,
    fix: `Pass a Float32Array of shape [tokens, ${inputs}] with at least one token`,
  });
}
