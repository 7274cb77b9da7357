// A feed-forward's weights, built and laid out as its plan wants.

import type { FfnPlan, TensorPlan } from "../plan.ts";
import type { Activations } from "./activations.ts";
import { asFloats, type PackedTensor, placeScored } from "./pack-layer.ts";
import type { BiasRole } from "./weight-tensors.ts";
import { WEIGHT_BYTES, type WeightMatrix } from "./weights.ts";

/** The matrices of a feed-forward as they lie in the weights file: gate and up `[rows, inputs]`, down `[outputs, rows]`. */
export interface FfnWeights {
  readonly gate?: WeightMatrix;
  readonly up: WeightMatrix;
  readonly down: WeightMatrix;
}

/**
 * Builds every packed tensor of a feed-forward.
 * @param onRow called after each neuron, for progress.
 * @param biases numbers of the layer's dtype, for a layer that has them: `[rows]` of the scored matrix and of up,
 * `[outputs]` of down.
 */
export function packFfn(
  plan: FfnPlan,
  weights: FfnWeights,
  onRow?: () => void,
  activations?: Activations,
  biases: Readonly<Partial<Record<BiasRole, Uint8Array>>> = {},
): PackedTensor[] {
  const data = new Map<TensorPlan["role"], Uint8Array>(
    plan.tensors.map(({ role, bytes }) => [role, new Uint8Array(bytes)]),
  );
  placeScored(plan, weights.gate ?? weights.up, data, activations, onRow);
  placeBundles(plan, weights, data.get("bundles")!);
  for (const role of ["bias", "up_bias", "down_bias"] as const) {
    const count = role === "down_bias" ? plan.outputs : plan.rows;
    // What is longer than the bias is zero.
    if (data.has(role)) data.get(role)!.set(asFloats({ count, dtype: plan.dtype, bytes: biases[role]! }));
  }
  return plan.tensors.map((tensor) => ({ ...tensor, data: data.get(tensor.role)! }));
}

/**
 * A neuron's gate, up and down rows side by side, each padded to whole 16-byte chunks, so that whoever computes the
 * neuron finds all of it in one place. The down row is a column of the matrix in the file.
 */
function placeBundles({ rows, inputs, outputs, dtype }: FfnPlan, { gate, up, down }: FfnWeights, into: Uint8Array) {
  const width = WEIGHT_BYTES[dtype];
  const padded = (elements: number) => Math.ceil((elements * width) / 16) * 16;
  const before = (gate ? 2 : 1) * padded(inputs);
  const stride = before + padded(outputs);
  for (let row = 0; row < rows; row++) {
    (gate ? [gate, up] : [up]).forEach(({ bytes }, matrix) => {
      into.set(
        bytes.subarray(row * inputs * width, (row + 1) * inputs * width),
        row * stride + matrix * padded(inputs),
      );
    });
  }
  const Elements = width === 4 ? Uint32Array : Uint16Array;
  // The bytes of a tensor may begin anywhere in their file.
  const source = new Elements(Uint8Array.from(down.bytes).buffer as ArrayBuffer);
  const target = new Elements(into.buffer as ArrayBuffer, into.byteOffset, into.byteLength / width);
  for (let output = 0; output < outputs; output++) {
    for (let row = 0; row < rows; row++) {
      target[(row * stride + before) / width + output] = source[output * rows + row]!;
    }
  }
}
