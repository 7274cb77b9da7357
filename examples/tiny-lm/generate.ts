// Text generation, with any output head in the place of tiny-lm's own.

import type { Decoder, Embedding } from "./decoder.ts";
import { project } from "./projection.ts";

/**
 * An output head and its choice: from the head's input, f32 [inputs], to the id of the next token. A head that knows
 * only the largest logits (an approximate top-k, say) can choose by any rule among those.
 */
export type Head = (input: Float32Array) => number | Promise<number>;

/**
 * Goes on with a text for ever; the caller stops when it has enough.
 * @param prompt token ids, at least one.
 * @yields the id of the next token.
 * @throws RangeError when the prompt is empty, or an id, the head's too, is not in the vocabulary.
 */
export async function* generate(decoder: Decoder, head: Head, prompt: ArrayLike<number>): AsyncGenerator<number> {
  if (prompt.length === 0)
    throw new RangeError('the prompt has no token; begin with that of "\\n", which ends a verse');
  const session = decoder.session();
  // What the first tokens of a long prompt leave behind would be out of sight when the prompt ends.
  const visible = Array.from(prompt).slice(-decoder.context);
  let input = (await Promise.all(visible.map((token) => session.push(token)))).at(-1)!;
  while (true) {
    const token = await head(input);
    yield token;
    input = await session.push(token);
  }
}

/** The exact head, greedy: all logits are computed, the first of the largest wins. */
export function exactHead(embedding: Embedding): Head {
  return (input) => {
    const logits = project(embedding.data, input);
    return logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
  };
}
