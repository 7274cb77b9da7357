// Weights and inputs for a layer whose own are not at hand: random, and the same each time. Packed tensors are filled as they
// lie, since packing hundreds of millions of weights, or a basis for them, takes minutes, and kernels take as long for any.

import { maskBits } from "../../runtime/inputs.ts";
import type { WeightSource } from "../../runtime/layer.ts";
import type { LayerInputs } from "../../runtime/layer-data.ts";
import type { LayerPlan, ScoredPlan, TensorPlan } from "../../runtime/plan.ts";

/** A word is `base`, with those bits of `random` set at random. */
interface Bits {
  readonly base: number;
  readonly random: number;
}

const ANY: Bits = { base: 0, random: 0xffffffff };
/** From 2^-7 to 2^-3, of both signs; of f16 to 2^-5. Two to a word where they have 16 bits. */
const NUMBERS: Readonly<Record<string, Bits>> = {
  F32: { base: 0x3c000000, random: 0x81ffffff },
  BF16: { base: 0x3c003c00, random: 0x81ff81ff },
  F16: { base: 0x20002000, random: 0x87ff87ff },
};
const POSITIVE: Bits = { base: 0x3c000000, random: 0x01ffffff };

function bitsOf({ role, dtype }: TensorPlan, { estimator, dtype: weights }: ScoredPlan): Bits {
  switch (role) {
    case "codes":
    case "low_codes":
      return ANY;
    case "basis":
      return NUMBERS[dtype] ?? ANY;
    case "scales": {
      const matrix = estimator.kind === "lowRank" ? estimator.rows : estimator;
      const most = matrix.kind === "quantized" ? matrix.scaleMax : 1;
      // Bytes from 1 on: all ones below the largest power of two that they may reach.
      return { base: 0x01010101, random: 0x01010101 * (2 ** Math.floor(Math.log2(most + 1)) - 1) };
    }
    case "row_scales":
    case "basis_scales":
    case "bounds":
      return POSITIVE;
    case "weights":
      return NUMBERS[estimator.kind === "lowRank" ? "BF16" : weights.toUpperCase()]!;
    default:
      return NUMBERS[dtype]!;
  }
}

export function randomWeights(layer: LayerPlan): WeightSource {
  return (tensor) => {
    const words = new Uint32Array(Math.ceil(tensor.bytes / 4));
    const next = randomWords(tensor.name);
    const { base, random } = bitsOf(tensor, layer);
    for (let i = 0; i < words.length; i++) words[i] = base | (next() & random);
    return new Uint8Array(words.buffer, 0, tensor.bytes);
  };
}

/** One launch of tokens, and what the layer takes besides: a mask that allows three rows of four, numbers to draw by. */
export function randomInputs(name: string, { batch, inputs, rows, mask, sampler }: LayerPlan): LayerInputs {
  const next = randomWords(name);
  const uniform = () => next() / 2 ** 32;
  return {
    x: Float32Array.from({ length: batch * inputs }, () => 2 * uniform() - 1),
    ...(mask && {
      mask: maskBits(
        rows,
        Uint8Array.from({ length: rows }, () => (uniform() < 0.75 ? 1 : 0)),
      ),
    }),
    ...(sampler === "multinomial" && { uniforms: Float32Array.from({ length: batch }, uniform) }),
  };
}

/** Marsaglia's xorshift with 32 bits, from a seed that a name makes (FNV-1a). */
export function randomWords(name: string): () => number {
  let state = [...name].reduce((hash, letter) => Math.imul(hash ^ letter.charCodeAt(0), 16777619), 2166136261) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
