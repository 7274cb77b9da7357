// Causal self-attention of one layer, one position at a time: keys and values of earlier positions lie in a cache.

import { project } from "./projection.ts";
import type { Config, LayerWeights } from "./weights.ts";

/** Keys (already rotated) and values, f32 [max_position_embeddings, hidden_size]; the first `position` rows are in use. */
export interface AttentionCache {
  readonly keys: Float32Array;
  readonly values: Float32Array;
}

/** Cosine and sine of every position's angles, f32 [max_position_embeddings, width of a head / 2]. */
export interface RotaryTable {
  readonly cosine: Float32Array;
  readonly sine: Float32Array;
}

export function emptyCache(config: Config): AttentionCache {
  const elements = config.max_position_embeddings * config.hidden_size;
  return { keys: new Float32Array(elements), values: new Float32Array(elements) };
}

/** The angles of rotary position embedding (Su et al. 2021, https://arxiv.org/abs/2104.09864, section 3.2). */
export function rotaryTable(config: Config): RotaryTable {
  const width = config.hidden_size / config.num_attention_heads;
  const half = width / 2;
  const cosine = new Float32Array(config.max_position_embeddings * half);
  const sine = new Float32Array(cosine.length);
  for (let i = 0; i < cosine.length; i++) {
    // Training took frequency and angle in f32; in f64 the head's inputs would lie 1.9e-6 from PyTorch's, not 7e-7.
    const frequency = Math.fround(config.rope_theta ** ((-2 * (i % half)) / width));
    const angle = Math.fround(Math.floor(i / half) * frequency);
    cosine[i] = Math.cos(angle);
    sine[i] = Math.sin(angle);
  }
  return { cosine, sine };
}

/**
 * Attention's output for the newest position; its key and value are put into the cache.
 * @param position in [0, max_position_embeddings); the cache holds the positions before it.
 * @param input f32 [hidden_size], normed.
 * @returns f32 [hidden_size], before it is added to the residual stream.
 */
export function attend(
  config: Config,
  weights: LayerWeights,
  rotary: RotaryTable,
  cache: AttentionCache,
  position: number,
  input: Float32Array,
): Float32Array {
  const hidden = config.hidden_size;
  const width = hidden / config.num_attention_heads;
  const query = rotate(project(weights.query, input), width, rotary, position);
  cache.keys.set(rotate(project(weights.key, input), width, rotary, position), position * hidden);
  cache.values.set(project(weights.value, input), position * hidden);

  const mixed = new Float64Array(hidden);
  for (let head = 0; head < hidden; head += width) {
    const shares = softmax(scores(query, cache.keys, position, head, width));
    for (let t = 0; t <= position; t++) {
      const share = shares[t]!;
      for (let j = head; j < head + width; j++) mixed[j]! += share * cache.values[t * hidden + j]!;
    }
  }
  return project(weights.output, new Float32Array(mixed));
}

/** Turns, in each head, the pairs (j, j + width / 2): the half-split form. */
function rotate(vector: Float32Array, width: number, rotary: RotaryTable, position: number): Float32Array {
  const half = width / 2;
  const turned = new Float32Array(vector.length);
  for (let head = 0; head < vector.length; head += width) {
    for (let j = 0; j < half; j++) {
      const cosine = rotary.cosine[position * half + j]!;
      const sine = rotary.sine[position * half + j]!;
      const [a, b] = [vector[head + j]!, vector[head + half + j]!];
      turned[head + j] = a * cosine - b * sine;
      turned[head + half + j] = b * cosine + a * sine;
    }
  }
  return turned;
}

/** Scaled products of one head's query with the keys of positions 0 to `position`: f64 [position + 1]. */
function scores(query: Float32Array, keys: Float32Array, position: number, head: number, width: number): Float64Array {
  const products = new Float64Array(position + 1);
  for (let t = 0; t <= position; t++) {
    const key = t * query.length;
    let sum = 0;
    for (let j = head; j < head + width; j++) sum += query[j]! * keys[key + j]!;
    products[t] = sum / Math.sqrt(width);
  }
  return products;
}

function softmax(logits: Float64Array): Float64Array {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
}
