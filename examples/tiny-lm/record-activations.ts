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
  const { inputs, width } = await recordInputs(folder, positions, shift);
  const shape = [positions, width];
  const tensors = Object.entries(inputs).map(([name, { buffer, byteOffset, byteLength }]) => ({
    ...{ name: `${name}.input`, dtype: "F32" as const, shape },
    bytes: () => new Uint8Array(buffer, byteOffset, byteLength),
  }));
  await writeSafetensors(file, tensors, {}, "HIRE-RUN-009");
  return shape;
}

export interface RecordedInputs {
  /** f32 `[positions, width]` of `head` and of `mlp0` to `mlp2`. */
  readonly inputs: Readonly<Record<string, Float32Array>>;
  readonly width: number;
  /** The token that follows in the text, i32 `[positions]`. */
  readonly next: Int32Array;
}

/** What the layers of the exact model are given. @param shift of `heldOut`. */
export async function recordInputs(folder: string, positions: number, shift: number): Promise<RecordedInputs> {
  const weights = await loadWeights(folder);
  const exact = exactFeedForwards(weights);
  const seen: number[][] = weights.layers.map(() => []);
  const decoder = createDecoder(weights, (layer, x) => {
    for (const value of x) seen[layer]!.push(value);
    return exact(layer, x);
  });
  const { inputs: head, next } = await heldOut(folder, positions, decoder, shift);
  const others = seen.map((values, layer) => [`mlp${layer}`, Float32Array.from(values)] as const);
  return { inputs: { head, ...Object.fromEntries(others) }, width: decoder.embedding.inputs, next };
}
