// The true inputs of tiny-lm's layers on held-out text, as `hirec pack --activations` and `hirec run` read them.

import { writeSafetensors } from "hirec/runtime/node";
import { createDecoder, exactFeedForwards } from "./decoder.ts";
import { heldOut } from "./held-out.ts";
import { loadWeights } from "./load.ts";

/**
 * Writes `head.input` and `mlp0.input` to `mlp2.input`, F32 `[positions, 256]`.
 * @param shift of `heldOut`: 1 for text that what is measured on does not share.
 * @returns their shape.
 */
export async function recordActivations(
  folder: string,
  positions: number,
  file: string,
  shift = 0,
): Promise<readonly number[]> {
  const weights = await loadWeights(folder);
  const seen = weights.layers.map(() => [] as Float32Array[]);
  const exact = exactFeedForwards(weights);
  const decoder = createDecoder(weights, (layer, x) => {
    seen[layer]!.push(x);
    return exact(layer, x);
  });
  const { inputs: head } = await heldOut(folder, positions, decoder, shift);
  const shape = [positions, decoder.embedding.inputs];
  const tensor = (name: string, parts: readonly Float32Array[]) => ({
    name: `${name}.input`,
    dtype: "F32" as const,
    shape,
    bytes: () =>
      Buffer.concat(parts.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength))),
  });
  const tensors = [tensor("head", [head]), ...seen.map((parts, layer) => tensor(`mlp${layer}`, parts))];
  await writeSafetensors(file, tensors, {}, "HIRE-RUN-009");
  return shape;
}
