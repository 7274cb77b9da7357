// What a launch of a dense layer moves.

import { WEIGHT_BYTES } from "../../runtime/pack/weights.ts";
import type { LayerPlan } from "../../runtime/plan.ts";
import type { FlowStep } from "../cli/explain/flow.ts";

/** A matrix product and what follows it, as frameworks compute it: scores go through memory. */
export function denseFlow(layer: LayerPlan): readonly FlowStep[] {
  const { rows, inputs, batch, k, dtype, bytes } = layer;
  const tokens = { what: batch === 1 ? "token x" : `${batch} tokens x`, bytes: batch * inputs * 4 };
  const step = { weights: [], inputs: [], rare: false };
  const exact = (bytes: number) => [{ what: "exact weights", bytes }];
  if (layer.kind === "softmax") {
    const scores = { what: "scores", bytes: batch * rows * 4 };
    const results = { what: "indices, values", bytes: batch * k * 8 };
    return [
      {
        ...step,
        name: "dense",
        stages: ["score every row"],
        weights: exact(bytes.dense),
        inputs: [tokens],
        writes: scores,
      },
      { ...step, name: "top-k", stages: ["select"], writes: results },
    ];
  }
  const first = rows * inputs * WEIGHT_BYTES[dtype] * (layer.gated ? 2 : 1);
  const name = layer.gated ? "gate and up" : "up";
  const stages = ["every neuron"];
  const hidden = { what: "hidden", bytes: batch * rows * 4 };
  const output = { what: "output", bytes: batch * layer.outputs * 4 };
  return [
    { ...step, name, stages, weights: exact(first), inputs: [tokens], writes: hidden },
    { ...step, name: "down", stages, weights: exact(bytes.dense - first), writes: output },
  ];
}
