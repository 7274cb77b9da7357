// tiny-lm up to its output head: from tokens to the vectors that the head multiplies. The head itself is left to the
// caller, since it is what this project compiles; generate.ts joins the two.

import { type AttentionCache, attend, emptyCache, type RotaryTable, rotaryTable } from "./attention.ts";
import { feedForward } from "./feed-forward.ts";
import { rmsNorm } from "./rms-norm.ts";
import { loadWeights, type Weights } from "./weights.ts";

/** The head's weights, which are the token embedding: f32 row-major [rows, inputs]. */
export interface Embedding {
  readonly rows: number;
  readonly inputs: number;
  readonly data: Float32Array;
}

export interface Decoder {
  /** The most positions that attention can see: 128. */
  readonly context: number;
  readonly embedding: Embedding;
  /**
   * The head's inputs for one window of text, positions from 0.
   * @param tokens ids, at most `context` of them.
   * @returns f32 [tokens, inputs]; row i has seen tokens 0 to i.
   * @throws RangeError when the window is too long or an id is not in the vocabulary.
   */
  hidden(tokens: ArrayLike<number>): Float32Array;
  /** Begins a text of any length. */
  session(): Session;
}

export interface Session {
  /**
   * Takes the next token of the text.
   *
   * Attention sees up to `context` tokens. A token that no longer fits makes the session start again with the last
   * half of the context, this token included, at positions 0 to 63; that one call is as dear as 64 others.
   * @returns f32 [inputs], the head's input after this token.
   * @throws RangeError when the id is not in the vocabulary; the session is as before then.
   */
  push(token: number): Float32Array;
}

/**
 * Loads the decoder.
 * @param folder the folder that holds config.json and model.safetensors.
 * @throws HireError or Error when a file is missing or not what the decoder expects, see `loadWeights`.
 */
export async function loadDecoder(folder: string): Promise<Decoder> {
  const weights = await loadWeights(folder);
  const rotary = rotaryTable(weights.config);
  const { hidden_size: inputs, vocab_size: rows, max_position_embeddings: context } = weights.config;
  return {
    context,
    embedding: { rows, inputs, data: weights.embedding },
    hidden: (tokens) => hiddenOf(weights, rotary, tokens),
    session: () => startSession(weights, rotary),
  };
}

function hiddenOf(weights: Weights, rotary: RotaryTable, tokens: ArrayLike<number>): Float32Array {
  const { hidden_size: inputs, max_position_embeddings: context } = weights.config;
  if (tokens.length > context) {
    throw new RangeError(`a window has at most ${context} tokens, not ${tokens.length}; cut the text or use session()`);
  }
  const session = startSession(weights, rotary);
  const states = new Float32Array(tokens.length * inputs);
  for (let i = 0; i < tokens.length; i++) states.set(session.push(tokens[i]!), i * inputs);
  return states;
}

function startSession(weights: Weights, rotary: RotaryTable): Session {
  const { max_position_embeddings: context } = weights.config;
  const caches = weights.layers.map(() => emptyCache(weights.config));
  let seen: number[] = [];
  const append = (token: number) => step(weights, rotary, caches, seen.push(token) - 1, token);
  return {
    push(token) {
      checkToken(weights, token);
      if (seen.length === context) {
        const kept = seen.slice(context / 2 + 1);
        // The caches need no clearing: attention reads no position that has not been written since.
        seen = [];
        for (const earlier of kept) append(earlier);
      }
      return append(token);
    },
  };
}

function checkToken(weights: Weights, token: number): void {
  const rows = weights.config.vocab_size;
  if (!Number.isInteger(token) || token < 0 || token >= rows) {
    throw new RangeError(`token ${token} is not in the vocabulary, whose ids are 0 to ${rows - 1}`);
  }
}

/** One token through all layers; writes row `position` of each cache and returns the head's input, f32 [hidden_size]. */
function step(
  weights: Weights,
  rotary: RotaryTable,
  caches: readonly AttentionCache[],
  position: number,
  token: number,
): Float32Array {
  const { config, embedding } = weights;
  const { hidden_size: hidden, rms_norm_eps: epsilon } = config;
  let x: Float32Array = embedding.slice(token * hidden, (token + 1) * hidden);
  weights.layers.forEach((layer, i) => {
    x = sum(x, attend(config, layer, rotary, caches[i]!, position, rmsNorm(x, layer.attentionNorm, epsilon)));
    x = sum(x, feedForward(config, layer, rmsNorm(x, layer.feedForwardNorm, epsilon)));
  });
  return rmsNorm(x, weights.finalNorm, epsilon);
}

function sum(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, i) => value + b[i]!);
}
