// What shards of an output head send: of each token the bound of whatever they do not send, and their best rows, each as a
// key and a row. Keys are u32 that order as scores do, NaN first.

import { NO_ROW } from "../layer.ts";

/** Below every key. */
export const NO_KEY = 0;

/** Words of a pair: its key, and its row or, of a bound, nothing. */
export const PAIR_WORDS = 2;

/** Pairs of several tokens, `[tokens, places]`, of which the first place is the bound's. */
export interface Pairs {
  readonly places: number;
  readonly words: Uint32Array;
}

/** Places without a row, for as many tokens. */
export function emptyPairs(tokens: number, places: number): Pairs {
  const words = new Uint32Array(tokens * places * PAIR_WORDS);
  for (let pair = 0; pair < tokens * places; pair++) words.set([NO_KEY, NO_ROW], pair * PAIR_WORDS);
  return { places, words };
}

/** The same tokens with another number of places: the last ones are left out, or hold no row. */
export function withPlaces({ words, places }: Pairs, wanted: number): Pairs {
  const tokens = words.length / places / PAIR_WORDS;
  const result = emptyPairs(tokens, wanted);
  const taken = Math.min(places, wanted) * PAIR_WORDS;
  for (let token = 0; token < tokens; token++) {
    const from = token * places * PAIR_WORDS;
    result.words.set(words.subarray(from, from + taken), token * wanted * PAIR_WORDS);
  }
  return result;
}

/** Some of the tokens. */
export function tokensOf({ words, places }: Pairs, tokens: readonly number[]): Pairs {
  const each = places * PAIR_WORDS;
  const result = new Uint32Array(tokens.length * each);
  tokens.forEach((token, i) => void result.set(words.subarray(token * each, (token + 1) * each), i * each));
  return { places, words: result };
}

/**
 * What was gathered, `[shards, tokens, places]`, as launches of the merge take it: `[launches, shards, batch, places]`, with
 * places without a row for the tokens that the last launch lacks.
 */
export function launchByLaunch({ words, places }: Pairs, shards: number, batch: number): Uint32Array {
  const each = places * PAIR_WORDS;
  const tokens = words.length / shards / each;
  const launches = Math.ceil(tokens / batch);
  const { words: result } = emptyPairs(launches * shards * batch, places);
  for (let launch = 0; launch < launches; launch++) {
    const [first, end] = [launch * batch, Math.min((launch + 1) * batch, tokens)];
    for (let shard = 0; shard < shards; shard++) {
      const some = words.subarray((shard * tokens + first) * each, (shard * tokens + end) * each);
      result.set(some, (launch * shards + shard) * batch * each);
    }
  }
  return result;
}
