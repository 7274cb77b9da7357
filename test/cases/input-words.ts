// What a backend's buffers hold before a launch.

import { maskBits, type SoftmaxInputs } from "../../runtime/inputs.ts";
import type { LayerPlan } from "../../runtime/plan.ts";

/** The words of an input buffer of a launch, given its tokens, and which of all tokens comes first. */
export function inputWords(
  name: string,
  layer: LayerPlan,
  x: Float32Array,
  taken: SoftmaxInputs = {},
  first = 0,
): Uint32Array {
  if (name === "mask") return maskBits(layer.rows, taken.mask);
  const numbers = name === "uniforms" ? new Float32Array(layer.batch) : x;
  if (name === "uniforms") numbers.set(taken.uniforms!.subarray(first, first + layer.batch));
  return new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
}
