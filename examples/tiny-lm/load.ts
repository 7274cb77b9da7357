// tiny-lm out of a folder of files, in Node. A page fetches the same files and takes the functions that these call.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openSafetensors } from "../../runtime/node/safetensors-file.ts";
import { createDecoder, type Decoder, type FeedForward } from "./decoder.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";
import { type Config, readWeights, type Weights } from "./weights.ts";

/**
 * @param folder the folder that holds config.json and model.safetensors.
 * @throws HireError when model.safetensors is broken, Error as `readWeights`.
 */
export async function loadWeights(folder: string): Promise<Weights> {
  const config: Config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
  const file = await openSafetensors(join(folder, "model.safetensors"));
  try {
    return await readWeights(config, file);
  } finally {
    await file.close();
  }
}

/**
 * @param folder as of `loadWeights`.
 * @param feedForwards what computes the feed-forwards, in place of the exact ones.
 * @throws HireError or Error when a file is missing or not what the decoder expects, see `loadWeights`.
 */
export async function loadDecoder(folder: string, feedForwards?: FeedForward): Promise<Decoder> {
  return createDecoder(await loadWeights(folder), feedForwards);
}

/** @param folder the folder that holds tokenizer.json. */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  return createTokenizer(JSON.parse(await readFile(join(folder, "tokenizer.json"), "utf8")));
}
