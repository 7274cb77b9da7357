// Positions of held-out text, as an output head meets them: the true inputs and the tokens that did come next.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Decoder } from "./decoder.ts";
import { loadTokenizer } from "./load.ts";

export interface HeldOut {
  /** The token at each position, i32 [positions]. */
  readonly tokens: Int32Array;
  /** The head's input after that token, f32 row-major [positions, inputs]. */
  readonly inputs: Float32Array;
  /** The token that follows in the text, i32 [positions]. */
  readonly next: Int32Array;
}

/**
 * The first `positions` positions of as many windows as they fill, spread evenly over the text, so that a few hundred
 * already stand for all 25 passages. The same call gives the same positions.
 * @param folder the folder that holds tokenizer.json and validation.txt.
 * @param positions at most 40,192; a multiple of 128 gives whole windows.
 * @param shift windows by which each is moved: with 1 and up to 20,096 positions, text that a call with 0 does not meet.
 * @throws RangeError when the text has fewer positions.
 */
export async function heldOut(folder: string, positions: number, decoder: Decoder, shift = 0): Promise<HeldOut> {
  const text = await heldOutTokens(folder);
  const { context, embedding } = decoder;
  // As in training's validation: the text is one run of windows, the last token of the text has no successor.
  const available = Math.floor((text.length - 1) / context);
  const windows = Math.ceil(positions / context);
  if (!(windows <= available)) {
    throw new RangeError(
      `the held-out text has ${available * context} positions, fewer than the ${positions} asked for`,
    );
  }
  const found: HeldOut = {
    tokens: new Int32Array(positions),
    inputs: new Float32Array(positions * embedding.inputs),
    next: new Int32Array(positions),
  };
  for (let i = 0; i < windows; i++) {
    const begin = ((Math.floor((i * available) / windows) + shift) % available) * context;
    const end = begin + Math.min(context, positions - i * context);
    found.tokens.set(text.subarray(begin, end), i * context);
    found.inputs.set(await decoder.hidden(text.subarray(begin, end)), i * context * embedding.inputs);
    found.next.set(text.subarray(begin + 1, end + 1), i * context);
  }
  return found;
}

/**
 * All tokens of the held-out text, i32 [40289], as training counted them.
 * @param folder the folder that holds tokenizer.json and validation.txt.
 */
export async function heldOutTokens(folder: string): Promise<Int32Array> {
  const tokenizer = await loadTokenizer(folder);
  const text = await readFile(join(folder, "validation.txt"), "utf8");
  // The file joins passages of 50 verses by an empty line; training ended each by a single line break instead.
  return Int32Array.from(text.split("\n\n").flatMap((passage) => tokenizer.encode(`${passage}\n`)));
}
