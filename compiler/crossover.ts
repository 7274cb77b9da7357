// The batch from which the cheap copy no longer pays: tokens of a batch ask for different exact rows, until together they
// ask for so many that scoring all rows exactly reads fewer bytes.

import type { CrossoverPlan, LayerPlan } from "../runtime/plan.ts";
import { type CheckedLayer, MAX_BATCH } from "./model.ts";
import { readsOf } from "./reads.ts";
import { tile } from "./tile.ts";

const BATCHES = Array.from({ length: MAX_BATCH }, (_, i) => i + 1);

/** A layer as it will be computed. */
export interface Routed {
  readonly layer: CheckedLayer;
  readonly crossover?: CrossoverPlan;
}

/** Takes the dense path where the layer's batch is past the crossover, unless the spec says otherwise. */
export function route(layer: CheckedLayer): Routed {
  // What is certified, or recomputed where it is not, is to be what the spec says.
  if (layer.estimator.kind === "dense" || layer.certify !== "off") return { layer };
  const dense = densePath(layer);
  const [plan, densePlan] = [tile(layer), tile(dense)];
  const batch = BATCHES.find((each) => total(plan, each) >= total(densePlan, each));
  if (batch === undefined) return { layer };
  const taken = layer.batch >= batch && layer.crossover === "dense";
  return { layer: taken ? dense : layer, crossover: { batch, taken } };
}

/** The same layer with every row scored by the exact weights. */
function densePath(layer: CheckedLayer): CheckedLayer {
  const options = { ...layer.options, ...(layer.options.logSumExp && { logSumExp: "all" as const }) };
  return { ...layer, estimator: { kind: "dense" }, candidates: layer.k, select: { kind: "exact" }, options };
}

function total(plan: LayerPlan, batch: number): number {
  return readsOf(plan, batch).total;
}
