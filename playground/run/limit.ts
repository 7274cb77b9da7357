// How large a layer may be for a page to pack it, and why not larger.

import { HireError } from "../../runtime/errors.ts";
import { weightTensors } from "../../runtime/pack/weight-tensors.ts";
import { WEIGHT_BYTES } from "../../runtime/pack/weights.ts";
import type { LayerPlan } from "../../runtime/plan.ts";

/**
 * Of a layer's weights. They lie in memory as they are, laid out for the dense kernel, and in the pack, and the last two once more on
 * the GPU: two to three times as much on each side.
 */
const MOST_WEIGHT_BYTES = 640e6;

function weightBytes(layer: LayerPlan): number {
  const numbers = weightTensors(layer).map(({ shape }) => shape.reduce((product, extent) => product * extent, 1));
  return numbers.reduce((sum, count) => sum + count, 0) * WEIGHT_BYTES[layer.dtype];
}

/** @throws HireError HIRE-RUN-025 when the layer is larger. */
export function requireSmall(name: string, layer: LayerPlan): void {
  const bytes = weightBytes(layer);
  if (bytes <= MOST_WEIGHT_BYTES) return;
  const rows = Math.floor((layer.rows * MOST_WEIGHT_BYTES) / bytes / 1024) * 1024;
  throw new HireError({
    code: "HIRE-RUN-025",
    message: `Layer "${name}" has ${megabytes(bytes)} of weights, and this page packs at most ${megabytes(MOST_WEIGHT_BYTES)}: it takes about three times as much memory`,
    fix: `Lower ${layer.kind === "ffn" ? "hidden" : "rows"} in the spec to ${rows}, where bytes per row and recall stay alike; or run it with hirec run`,
  });
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
