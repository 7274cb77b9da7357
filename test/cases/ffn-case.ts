// A case of a feed-forward: a layer, its three matrices and tokens. It imports neither a backend nor Node.

import type { FfnOptions } from "../../dsl/index.ts";
import { encode, roundTo } from "./dtypes.ts";
import { mulberry32 } from "./random.ts";
import { type Fill, filled, type SoftmaxCase, seedOf } from "./softmax-case.ts";

export interface FfnCase extends Pick<SoftmaxCase, "name" | "tokens" | "inputs" | "comparison"> {
  /** Everything that `ffn` takes but the names of the tensors. */
  readonly layer: Omit<FfnOptions, "weights" | "bias">;
  /** Of the matrix that is scored: gate, or up where there is no gate. */
  readonly gate: Fill;
  /** Of up where there is a gate. */
  readonly up: Fill;
  readonly down: Fill;
  /** Columns of numbers that are added to what a matrix gives; `gate` belongs to the matrix that is scored, as above. */
  readonly bias?: { readonly gate?: Fill; readonly up?: Fill; readonly down?: Fill };
}

export interface Matrix {
  /** Numbers that the layer's dtype has. */
  readonly values: Float32Array;
  /** The same as they would lie in a weights file. */
  readonly bytes: Uint8Array;
}

export interface FfnData {
  /** `[hidden, inputs]`. */
  readonly gate?: Matrix;
  readonly up: Matrix;
  /** `[outputs, hidden]`. */
  readonly down: Matrix;
  /** Of the scored matrix and of up `[hidden]`, of down `[outputs]`. */
  readonly biases: { readonly bias?: Matrix; readonly up_bias?: Matrix; readonly down_bias?: Matrix };
  /** `[tokens, inputs]`. */
  readonly x: Float32Array;
}

export function ffnData({ name, layer, tokens, gate, up, down, bias, inputs: x }: FfnCase): FfnData {
  const { inputs, hidden, outputs = inputs, dtype = "bf16", gated = true } = layer;
  const random = mulberry32(seedOf(name));
  const matrix = (fill: Fill, rows: number, columns: number): Matrix => {
    const values = filled(fill, rows, columns, random).map((value) => roundTo(value, dtype));
    return { values, bytes: encode(values, dtype) };
  };
  const scored = matrix(gate, hidden, inputs);
  return {
    ...(gated ? { gate: scored, up: matrix(up, hidden, inputs) } : { up: scored }),
    down: matrix(down, outputs, hidden),
    x: filled(x, tokens, inputs, random),
    biases: {
      ...(bias?.gate && { bias: matrix(bias.gate, hidden, 1) }),
      ...(bias?.up && { up_bias: matrix(bias.up, hidden, 1) }),
      ...(bias?.down && { down_bias: matrix(bias.down, outputs, 1) }),
    },
  };
}
