// What tiny-lm's layers are given while it reads held-out text: true inputs, computed in the page.

import { createDecoder, exactFeedForwards } from "../../examples/tiny-lm/decoder.ts";
import { readWeights, type WeightsFile } from "../../examples/tiny-lm/weights.ts";
import { config, fetchPassages, fetchTokenizer } from "./files.ts";
import type { TinyLmPart } from "./part.ts";

/**
 * @param windows numbers of the passages of which the beginning is read, 128 tokens each.
 * @returns f32 `[windows · 128, 256]`.
 */
export async function recordInputs(
  file: WeightsFile,
  part: TinyLmPart,
  windows: readonly number[],
): Promise<Float32Array> {
  const [weights, tokenizer, passages] = await Promise.all([
    readWeights(config, file),
    fetchTokenizer(),
    fetchPassages(),
  ]);
  const exact = exactFeedForwards(weights);
  const seen: Float32Array[] = [];
  const decoder = createDecoder(weights, (layer, x) => {
    if (layer === part) seen.push(x);
    return exact(layer, x);
  });
  for (const window of windows) {
    const hidden = await decoder.hidden(tokenizer.encode(passages[window]!).slice(0, decoder.context));
    if (part === "head") seen.push(hidden);
  }
  const all = new Float32Array(seen.reduce((sum, { length }) => sum + length, 0));
  seen.reduce((at, each) => {
    all.set(each, at);
    return at + each.length;
  }, 0);
  return all;
}
