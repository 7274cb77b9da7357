// What layers take and give as the buffers of their plan hold it, the same on every device.

import { checkInputs, maskBits, type SoftmaxInputs } from "./inputs.ts";
import { type FfnResult, type SoftmaxResult, tokenCount } from "./layer.ts";
import type { SoftmaxPlan } from "./plan.ts";

/** By the names of the input buffers: `x` `[tokens, inputs]`, others with so many words per token, or shared by all. */
export type LayerInputs = { readonly x: Float32Array } & Readonly<Record<string, Float32Array | Uint32Array>>;

/** The bytes of every output buffer by name, token by token. */
export type LayerOutputs = Readonly<Record<string, ArrayBuffer>>;

export interface FloatSoftmaxResult extends SoftmaxResult {
  readonly values: Float32Array;
  readonly lse?: Float32Array;
}

export interface FloatFfnResult extends FfnResult {
  readonly output: Float32Array;
}

/** @throws HireError HIRE-RUN-002 when tokens, mask or uniforms do not fit the layer. */
export function softmaxInputs(name: string, plan: SoftmaxPlan, x: Float32Array, inputs: SoftmaxInputs): LayerInputs {
  checkInputs(name, plan, tokenCount(name, plan, x), inputs);
  return {
    x,
    ...(plan.mask && { mask: maskBits(plan.rows, inputs.mask) }),
    ...(inputs.uniforms && { uniforms: inputs.uniforms }),
  };
}

export function softmaxResult({ indices, values, certified, lse, sampled }: LayerOutputs): FloatSoftmaxResult {
  return {
    indices: new Uint32Array(indices!),
    values: new Float32Array(values!),
    ...(certified && { certified: Uint8Array.from(new Uint32Array(certified)) }),
    ...(lse && { lse: new Float32Array(lse) }),
    ...(sampled && { sampled: new Uint32Array(sampled) }),
  };
}

export function ffnResult({ output, groups }: LayerOutputs): FloatFfnResult {
  return { output: new Float32Array(output!), groups: new Uint32Array(groups!) };
}
