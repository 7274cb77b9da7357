// The weights of one layer as they lie in files, for whoever measures it against them.

import type { LayerWeights } from "../measure/exact.ts";
import type { WeightTensor } from "../pack/weight-tensors.ts";
import { rowReader, type WeightMatrix } from "../pack/weights.ts";
import type { LayerPlan } from "../plan.ts";
import { type FoundTensor, readAll } from "./pack-file.ts";

/** The layer's weights, each tensor read once, and the bytes of all of them in order. */
export async function readLayerWeights(
  plan: LayerPlan,
  found: readonly FoundTensor[],
): Promise<{ readonly weights: LayerWeights; readonly bytes: readonly Uint8Array[] }> {
  const bytes = await readAll(found);
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
  const all = found.map(({ role }) => bytes[role]!);
  if (plan.kind === "softmax") {
    return { weights: { scored: matrix("weight"), ...(bias && { bias }) }, bytes: all };
  }
  const gate = plan.gated ? matrix("gate") : undefined;
  const up = matrix("up");
  const matrices = { ...(gate && { gate }), up, down: matrix("down", plan.outputs, rows) };
  const [upBias, downBias] = [numbers("up_bias"), numbers("down_bias", plan.outputs)];
  const ffn = { ...matrices, ...(upBias && { upBias }), ...(downBias && { downBias }) };
  return { weights: { scored: gate ?? up, ...(bias && { bias }), ffn }, bytes: all };
}
