// tiny-lm's tokenizer: text to token ids and back, by the byte-level BPE that tokenizer.json describes.

import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";

export interface Tokenizer {
  /** Token ids of a text, in [0, 8192). Nothing is put before or after them. */
  encode(text: string): number[];
  /**
   * The text of token ids; `decode(encode(text))` is `text`. A character of several bytes may be split between tokens,
   * so decode a sequence as a whole rather than token by token.
   */
  decode(ids: ArrayLike<number>): string;
}

/** @param spec what tokenizer.json holds. */
export function createTokenizer(spec: object): Tokenizer {
  // The package tidies up English by default (" ," becomes ",", " n't" becomes "n't"), which loses what was encoded.
  const tokenizer = new HuggingFaceTokenizer(spec, { clean_up_tokenization_spaces: false });
  return {
    encode: (text) => tokenizer.encode(text).ids,
    // The package refuses to decode nothing.
    decode: (ids) => (ids.length === 0 ? "" : tokenizer.decode(Array.from(ids))),
  };
}
