// Layers as sharded layers run them, whatever runs them: arrays in, bytes of buffers out.

import type { LayerInputs, LayerOutputs } from "../layer-data.ts";
import type { LayerPlan, LayerProgram } from "../plan.ts";

export interface RawLayer {
  /** Runs any number of tokens. */
  run(inputs: LayerInputs): Promise<LayerOutputs>;
  destroy(): void;
}

/** What a device offers to sharded layers. */
export interface RawLoader {
  /** The profile of the programs that it takes. */
  readonly profile: string;
  load(name: string, plan: LayerPlan, program: LayerProgram): Promise<RawLayer>;
}
