// The weights of one layer as numbers, for whoever measures it against them.

import type { WeightTensor } from "../pack/weight-tensors.ts";
import { rowReader, type WeightMatrix } from "../pack/weights.ts";
import type { LayerPlan } from "../plan.ts";
import type { LayerWeights } from "./exact.ts";

/** @param bytes of each of the layer's weight tensors, by its role. */
export function layerWeights(
  plan: LayerPlan,
  bytes: Readonly<Partial<Record<WeightTensor["role"], Uint8Array>>>,
): LayerWeights {
  const { rows, inputs, dtype } = plan;
  const matrix = (role: WeightTensor["role"], height = rows, width = inputs): WeightMatrix => ({
    ...{ rows: height, inputs: width, dtype, bytes: bytes[role]! },
  });
  const numbers = (role: WeightTensor["role"], count = rows) => {
    if (!bytes[role]) return undefined;
    const values = new Float32Array(count);
    rowReader(matrix(role, 1, count))(0, values);
    return values;
  };
  const bias = numbers("bias");
  if (plan.kind === "softmax") return { scored: matrix("weight"), ...(bias && { bias }) };
  const gate = plan.gated ? matrix("gate") : undefined;
  const up = matrix("up");
  const matrices = { ...(gate && { gate }), up, down: matrix("down", plan.outputs, rows) };
  const [upBias, downBias] = [numbers("up_bias"), numbers("down_bias", plan.outputs)];
  const ffn = { ...matrices, ...(upBias && { upBias }), ...(downBias && { downBias }) };
  return { scored: gate ?? up, ...(bias && { bias }), ffn };
}
