// tiny-lm up to its output head: from tokens to the vectors that the head multiplies. The head itself is left to the
// caller, since it is what this project compiles; generate.ts joins the two.

import { type AttentionCache, attend, emptyCache, type RotaryTable, rotaryTable } from "./attention.ts";
import { feedForward } from "./feed-forward.ts";
import { rmsNorm } from "./rms-norm.ts";
import type { Weights } from "./weights.ts";

/** The head's weights, which are the token embedding: f32 row-major [rows, inputs]. */
export interface Embedding {
  readonly rows: number;
  readonly inputs: number;
  readonly data: Float32Array;
}

/**
 * The feed-forward of a layer, for any number of tokens at once.
 * @param x f32 [tokens, inputs], normed.
 * @returns f32 [tokens, inputs], before it is added to the residual stream.
 */
export type FeedForward = (layer: number, x: Float32Array) => Float32Array | Promise<Float32Array>;

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
  hidden(tokens: ArrayLike<number>): Promise<Float32Array>;
  /** Begins a text of any length. */
  session(): Session;
}

export interface Session {
  /**
   * Takes the next token of the text; each call waits for the one before.
   *
   * Attention sees up to `context` tokens. A token that no longer fits makes the session start again with the last
   * half of the context, this token included, at positions 0 to 63; that one call is as dear as 64 others.
   * @returns f32 [inputs], the head's input after this token.
   * @throws RangeError when the id is not in the vocabulary; the session is as before then.
   */
  push(token: number): Promise<Float32Array>;
}

/**
 * @param feedForwards what computes the feed-forwards; the exact ones when nothing is given.
 */
export function createDecoder(weights: Weights, feedForwards: FeedForward = exactFeedForwards(weights)): Decoder {
  const { hidden_size: inputs, vocab_size: rows, max_position_embeddings: context } = weights.config;
  const model = { weights, rotary: rotaryTable(weights.config), feedForwards };
  return {
    context,
    embedding: { rows, inputs, data: weights.embedding },
    hidden: async (tokens) => {
      if (tokens.length > context) {
        throw new RangeError(
          `a window has at most ${context} tokens, not ${tokens.length}; cut the text or use session()`,
        );
      }
      return forward(model, emptyCaches(weights), 0, Array.from(tokens));
    },
    session: () => startSession(model),
  };
}

interface Model {
  readonly weights: Weights;
  readonly rotary: RotaryTable;
  readonly feedForwards: FeedForward;
}

/** The feed-forwards as they were trained, from the exact weights. */
export function exactFeedForwards({ config, layers }: Weights): FeedForward {
  const { hidden_size: hidden } = config;
  return (layer, x) => {
    const output = new Float32Array(x.length);
    for (let at = 0; at < x.length; at += hidden) {
      output.set(feedForward(config, layers[layer]!, x.subarray(at, at + hidden)), at);
    }
    return output;
  };
}

function emptyCaches({ config, layers }: Weights): AttentionCache[] {
  return layers.map(() => emptyCache(config));
}

function startSession(model: Model): Session {
  const { max_position_embeddings: context } = model.weights.config;
  const caches = emptyCaches(model.weights);
  let seen: number[] = [];
  let last: Promise<unknown> = Promise.resolve();
  const append = async (token: number) => {
    if (seen.length < context) return forward(model, caches, seen.push(token) - 1, [token]);
    // The caches need no clearing: attention reads no position that has not been written since.
    seen = [...seen.slice(context / 2 + 1), token];
    return (await forward(model, caches, 0, seen)).slice(-model.weights.config.hidden_size);
  };
  return {
    push: (token) => {
      const next = last.then(async () => {
        checkToken(model.weights, token);
        return append(token);
      });
      last = next.catch(() => undefined);
      return next;
    },
  };
}

function checkToken(weights: Weights, token: number): void {
  const rows = weights.config.vocab_size;
  if (!Number.isInteger(token) || token < 0 || token >= rows) {
    throw new RangeError(`token ${token} is not in the vocabulary, whose ids are 0 to ${rows - 1}`);
  }
}

/**
 * Tokens that follow each other through all layers, one layer after the other; writes the rows of each cache from
 * `first` on.
 * @returns the head's inputs, f32 [tokens, hidden_size].
 */
async function forward(
  { weights, rotary, feedForwards }: Model,
  caches: readonly AttentionCache[],
  first: number,
  tokens: readonly number[],
): Promise<Float32Array> {
  const { config, embedding } = weights;
  const { hidden_size: hidden, rms_norm_eps: epsilon } = config;
  for (const token of tokens) checkToken(weights, token);
  const rowOf = (matrix: Float32Array, row: number) => matrix.subarray(row * hidden, (row + 1) * hidden);
  const each = (compute: (position: number) => Float32Array) => {
    const rows = new Float32Array(tokens.length * hidden);
    for (let i = 0; i < tokens.length; i++) rows.set(compute(i), i * hidden);
    return rows;
  };
  let x: Float32Array = each((i) => rowOf(embedding, tokens[i]!));
  for (const [l, layer] of weights.layers.entries()) {
    const residual = x;
    const attended = each((i) => {
      const normed = rmsNorm(rowOf(residual, i), layer.attentionNorm, epsilon);
      return attend(config, layer, rotary, caches[l]!, first + i, normed);
    });
    const mixed = sum(residual, attended);
    x = sum(
      mixed,
      await feedForwards(
        l,
        each((i) => rmsNorm(rowOf(mixed, i), layer.feedForwardNorm, epsilon)),
      ),
    );
  }
  return each((i) => rmsNorm(rowOf(x, i), weights.finalNorm, epsilon));
}

function sum(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, i) => value + b[i]!);
}
