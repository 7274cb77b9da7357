// What every backend offers for a softmax layer, and where it takes packed weights from.

import { HireError } from "./errors.ts";
import type { LayerPlan, TensorPlan } from "./plan.ts";

/** The best rows of each token: `k` per token, values descending, ties to the lower index. */
export interface SoftmaxResult {
  /** `[tokens, k]`; 0xFFFFFFFF where a token has fewer than `k` rows. */
  readonly indices: Uint32Array;
  /** `[tokens, k]` exact scores, divided by the temperature; -Infinity where a token has fewer than `k` rows. */
  readonly values: Float32Array | Float64Array;
  /** `[tokens]`: 1 where no row was missed, without recomputing; absent when the layer is not certified. */
  readonly certified?: Uint8Array;
  /** `[tokens]` log of the sum of exp(value), of a layer with logSumExp. */
  readonly lse?: Float32Array | Float64Array;
  /** `[tokens]` one row of each token's results, of a layer with a sampler; 0xFFFFFFFF where no row is allowed. */
  readonly sampled?: Uint32Array;
}

/** What a feed-forward makes of each token. */
export interface FfnResult {
  /** `[tokens, outputs]`. */
  readonly output: Float32Array | Float64Array;
  /** `[tokens, k]` the groups that were selected, best first; common groups are not among them. */
  readonly groups: Uint32Array;
}

export type LayerResult = SoftmaxResult | FfnResult;

/** The index of no row, in the places of results that no row takes. */
export const NO_ROW = 0xffff_ffff;

/** Bytes of a packed tensor, asked for one tensor at a time: whole, or in pieces one after another. */
export type WeightSource = (tensor: TensorPlan) => Promise<Uint8Array> | Uint8Array | AsyncIterable<Uint8Array>;

/**
 * One packed tensor, piece by piece, so that it need not be whole in memory.
 * @throws HireError HIRE-PACK-006 when the source gives another number of bytes, before any that is one too many.
 */
export async function* readPieces(weights: WeightSource, tensor: TensorPlan): AsyncGenerator<Uint8Array> {
  const given = await weights(tensor);
  let bytes = 0;
  for await (const piece of given && Symbol.asyncIterator in given ? given : [given]) {
    bytes += piece?.byteLength ?? 0;
    if (bytes > tensor.bytes) break;
    if (piece) yield piece;
  }
  if (bytes === tensor.bytes) return;
  throw new HireError({
    code: "HIRE-PACK-006",
    message: `The weights hold ${bytes > tensor.bytes ? "more" : bytes} bytes of tensor "${tensor.name}", which has ${tensor.bytes}`,
    fix: "Take the weights from readPack, openPack or fetchPack, with the pack of this plan",
  });
}

/**
 * One packed tensor, whole.
 * @throws HireError HIRE-PACK-006 when the source gives another number of bytes.
 */
export async function readWeights(weights: WeightSource, tensor: TensorPlan): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of readPieces(weights, tensor)) pieces.push(piece);
  if (pieces.length === 1) return pieces[0]!;
  const whole = new Uint8Array(tensor.bytes);
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.byteLength;
  }
  return whole;
}

/**
 * The number of tokens in `x`, which is `[tokens, inputs]`.
 * @throws HireError HIRE-RUN-002 when `x` is no Float32Array, does not hold whole tokens, or none.
 */
export function tokenCount(layer: string, { inputs }: LayerPlan, x: Float32Array): number {
  // By name, not by instanceof: a page's frames have a Float32Array each.
  const isFloats = Object.prototype.toString.call(x) === "[object Float32Array]";
  const tokens = isFloats ? x.length / inputs : 0;
  if (tokens >= 1 && Number.isInteger(tokens)) return tokens;
  throw new HireError({
    code: "HIRE-RUN-002",
    message: isFloats
      ? `The input of layer "${layer}" has ${x.length} numbers, which is not a whole number of tokens of ${inputs}`
      : `The input of layer "${layer}" is not a Float32Array`,
    fix: `Pass a Float32Array of shape [tokens, ${inputs}] with at least one token`,
  });
}
