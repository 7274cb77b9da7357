// What the scoring kernels see of a layer. With low rank, a token is first projected to a few numbers, and the rows that
// are scored are factors of as many columns: to whoever scores them that is a narrower layer.

import type { ScoredPlan } from "../runtime/plan.ts";
import type { CheckedScored } from "./model.ts";

/** Of the factors of 16 bits; those of 4 and 8 bits have codes. */
const FACTOR_DTYPE = "bf16";

export function scoredView<Layer extends ScoredPlan>(layer: Layer): Layer {
  const { estimator } = layer;
  if (estimator.kind !== "lowRank") return layer;
  return { ...layer, inputs: estimator.rank, dtype: FACTOR_DTYPE, estimator: estimator.rows };
}

/** The same of a layer that is not planned yet. */
export function checkedView<Layer extends CheckedScored>(layer: Layer): Layer {
  const { estimator } = layer;
  if (estimator.kind !== "lowRank") return layer;
  const { rank, bits, activations } = estimator;
  return {
    ...layer,
    inputs: rank,
    dtype: FACTOR_DTYPE,
    estimator: bits === 16 ? { kind: "dense" } : { kind: "quantized", bits, group: 32, activations },
  };
}
