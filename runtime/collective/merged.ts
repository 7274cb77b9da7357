// What a merge makes of what all shards sent, and what of it a second exchange replaces.

import { type FloatSoftmaxResult, type LayerOutputs, softmaxResult } from "../layer-data.ts";
import type { SoftmaxPlan } from "../plan.ts";
import { globalRow } from "../shard-rows.ts";

export interface Merged extends FloatSoftmaxResult {
  /** `[tokens, shards]`: 1 where a row that a shard dropped may be better than the k-th. */
  readonly open: Uint32Array;
}

/** @param tokens of the outputs, of which there may be more, up to whole launches. */
export function mergedOf(outputs: LayerOutputs, plan: SoftmaxPlan, tokens: number): Merged {
  const all = outputs.indices!.byteLength / plan.k / Uint32Array.BYTES_PER_ELEMENT;
  const cut = Object.entries(outputs).map(([name, bytes]) => {
    return [name, bytes.slice(0, (bytes.byteLength / all) * tokens)] as const;
  });
  const { open, ...results } = Object.fromEntries(cut);
  return { ...softmaxResult(results), open: new Uint32Array(open!) };
}

/** Shard by shard, whether one that a token's results may lack has it. */
export function openShardsOf({ open }: Merged, shards: number, token: number): readonly boolean[] {
  return range(shards).map((shard) => open[token * shards + shard] === 1);
}

/** Puts what a second exchange gave for some of the tokens in place of what the first gave. */
export function replaceTokens(result: Merged, tokens: readonly number[], second: Merged, k: number): void {
  const place = (values: Float32Array | Uint32Array, of: Float32Array | Uint32Array, each: number) => {
    tokens.forEach((token, i) => {
      values.set(of.subarray(i * each, (i + 1) * each), token * each);
    });
  };
  place(result.indices, second.indices, k);
  place(result.values, second.values, k);
  if (result.sampled) place(result.sampled, second.sampled!, 1);
}

/** The entries of a mask that are about a shard's rows. */
export function maskOf(mask: Uint8Array, { rows, shard }: SoftmaxPlan, index: number): Uint8Array {
  return Uint8Array.from({ length: rows }, (_, row) => mask[globalRow(row, shard!.rows, { ...shard!, index })]!);
}

export function tokensOfInput(x: Float32Array, inputs: number, tokens: readonly number[]): Float32Array {
  const some = new Float32Array(tokens.length * inputs);
  tokens.forEach((token, i) => {
    some.set(x.subarray(token * inputs, (token + 1) * inputs), i * inputs);
  });
  return some;
}

export function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}
