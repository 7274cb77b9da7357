// A layer of any kind in float64.

import type { SoftmaxInputs } from "../inputs.ts";
import type { LayerResult, WeightSource } from "../layer.ts";
import type { LayerPlan } from "../plan.ts";
import { createReferenceFfn } from "./ffn.ts";
import { createReferenceSoftmax } from "./softmax.ts";

export interface ReferenceLayer {
  /** @param x `[tokens, inputs]`. @param inputs only of an output head that takes them. */
  run(x: Float32Array, inputs?: SoftmaxInputs): Promise<LayerResult>;
}

export function createReference(name: string, plan: LayerPlan, weights: WeightSource): Promise<ReferenceLayer> {
  return plan.kind === "softmax"
    ? createReferenceSoftmax(name, plan, weights)
    : createReferenceFfn(name, plan, weights);
}
