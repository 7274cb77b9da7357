// The hash that ties a pack to its plan.

import { type FfnPlan, type LayerPlan, PLAN_FORMAT } from "../runtime/plan.ts";
import { textHash } from "./text-hash.ts";

/** Everything that decides the bytes of a pack, and nothing else: a change of k′ must not ask for a new pack. */
export function packHash(layers: Readonly<Record<string, LayerPlan>>): string {
  const decisive = Object.entries(layers).map(([name, layer]) => {
    const { inputs, rows, dtype, bias, estimator, selection, tiling, tensors, shard } = layer;
    const sources =
      layer.kind === "softmax"
        ? { weight: layer.weight }
        : { weights: layer.weights, biases: layer.biases, group: sizesOf(layer) };
    return {
      name,
      inputs,
      rows,
      dtype,
      ...sources,
      bias,
      estimator,
      buckets: selection.buckets,
      tiling,
      tensors,
      shard,
    };
  });
  return textHash(JSON.stringify({ format: PLAN_FORMAT, layers: decisive }));
}

function sizesOf({ group: { size, common } }: FfnPlan) {
  return { size, common };
}
