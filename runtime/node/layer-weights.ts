// The weights of one layer as they lie in files, for whoever measures it against them.

import type { LayerWeights } from "../measure/exact.ts";
import { layerWeights } from "../measure/layer-weights.ts";
import type { LayerPlan } from "../plan.ts";
import { type FoundTensor, readAll } from "./pack-file.ts";

/** The layer's weights, each tensor read once, and the bytes of all of them in order. */
export async function readLayerWeights(
  plan: LayerPlan,
  found: readonly FoundTensor[],
): Promise<{ readonly weights: LayerWeights; readonly bytes: readonly Uint8Array[] }> {
  const bytes = await readAll(found);
  return { weights: layerWeights(plan, bytes), bytes: found.map(({ role }) => bytes[role]!) };
}
