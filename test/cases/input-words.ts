// What a backend's buffers hold before a launch.

import { maskBits, type SoftmaxInputs } from "../../runtime/inputs.ts";
import type { LayerPlan } from "../../runtime/plan.ts";

/** The words of an input buffer, given the tokens of the launch and the uniform numbers from its first token on. */
export function inputWords(name: string, layer: LayerPlan, x: Float32Array, taken: SoftmaxInputs = {}): Uint32Array {
  if (name === "mask") return maskBits(layer.rows, taken.mask);
  const numbers = name === "uniforms" ? new Float32Array(layer.batch) : x;
  if (name === "uniforms") numbers.set(taken.uniforms!.subarray(0, layer.batch));
  return new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
}
