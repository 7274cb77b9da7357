// A device that schedules are measured on, whatever drives it.

import type { WeightSource } from "../../runtime/layer.ts";
import type { LayerInputs, LayerOutputs } from "../../runtime/layer-data.ts";
import type { CompiledSources } from "../../runtime/model.ts";
import type { LayerPlan, Plan, Target } from "../../runtime/plan.ts";

export interface TuneDevice {
  /** In words. */
  readonly description: string;
  readonly kind: "hardware" | "software";
  readonly target: Target;
  /**
   * The profile of a plan that runs here.
   * @throws HireError HIRE-RUN-006 when there is none.
   */
  pickProfile(plan: Plan, profile?: string): string;
  /**
   * Loads the only program of a compiled layer, ready for the launches of one batch.
   * @throws HireError of the family HIRE-RUN.
   */
  load(compiled: CompiledSources, name: string, weights: WeightSource, inputs: LayerInputs): Promise<LoadedLayer>;
  close(): void;
}

export interface LoadedLayer {
  /** Of any number of tokens; without them, of those that it was loaded with. */
  run(inputs?: LayerInputs): Promise<LayerOutputs>;
  /** Microseconds of a launch, of so many in a row or some more. */
  time(launches: number): Promise<number>;
  destroy(): void;
}

/** More than the caches of any card: what is touched again after as much comes from memory, as it does in a model. */
const CACHE_BYTES = 256 * 2 ** 20;

const MOST_COPIES = 8;

/** How many copies of a layer take turns, so that none finds its weights in a cache. */
export function copiesOf({ bytes, batch }: LayerPlan): number {
  const touched = bytes.score + bytes.rescore * batch;
  return Math.min(MOST_COPIES, Math.ceil(CACHE_BYTES / touched));
}
