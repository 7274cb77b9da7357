// The true inputs of tiny-lm's layers on held-out text, as `hirec pack --activations` and `hirec run` read them.

import { writeSafetensors } from "hirec/runtime/node";
import { loadDecoder } from "./decoder.ts";
import { feedForward } from "./feed-forward.ts";
import { heldOut } from "./held-out.ts";
import { loadWeights } from "./weights.ts";

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
  const { config, layers } = await loadWeights(folder);
  const { hidden_size: inputs } = config;
  const seen = layers.map(() => [] as Float32Array[]);
  const decoder = await loadDecoder(folder, (layer, x) => {
    seen[layer]!.push(x);
    const output = new Float32Array(x.length);
    for (let at = 0; at < x.length; at += inputs) {
      output.set(feedForward(config, layers[layer]!, x.subarray(at, at + inputs)), at);
    }
    return output;
  });
  const { inputs: head } = await heldOut(folder, positions, decoder, shift);
  const shape = [positions, inputs];
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
