// The layers of a compiled model on the device of one's choice, whatever runs them.

import { checkMonitor, type MeasuredRecall, type MonitorOptions } from "../collective/recall-monitor.ts";
import type { CompiledCuda } from "../cuda/model.ts";
import type { SoftmaxInputs } from "../inputs.ts";
import type { LayerResult } from "../layer.ts";
import { onBackend } from "./backend.ts";
import type { DeviceChoice } from "./device.ts";
import { openShards } from "./open-shards.ts";
import { openPack } from "./pack-file.ts";

/** `auto` takes CUDA where the model has a program for it and all that it needs is here, else what `requestNodeDevice` takes. */
export type RunDevice = DeviceChoice | "cuda" | "reference";

export interface OpenOptions {
  readonly pack: string;
  readonly device: RunDevice;
  readonly profile?: string;
  /** Measures the recall of feed-forwards over shards. */
  readonly monitor?: MonitorOptions;
}

/** A layer of any kind on any device; `x` is `[tokens, inputs]`. */
export interface RunnableLayer {
  run(x: Float32Array, inputs?: SoftmaxInputs): Promise<LayerResult>;
  /** Of a feed-forward over shards that is monitored. */
  readonly recall?: () => MeasuredRecall;
}

export interface OpenLayers {
  /** Where they run, in words. */
  readonly device: string;
  readonly kind: "hardware" | "software" | "reference";
  readonly profile?: string;
  readonly layers: Readonly<Record<string, RunnableLayer>>;
  /** Of a model over shards: which of them run in this process, and what carries their exchange. */
  readonly shards?: { readonly own: readonly number[]; readonly count: number; readonly engine: string };
  close(): void | Promise<void>;
}

/**
 * Loads layers and their weights onto the device of one's choice; of a model over shards as `openShards` does.
 * @throws HireError of the families HIRE-PACK and HIRE-RUN.
 */
export async function openLayers(
  compiled: CompiledCuda,
  names: readonly string[],
  options: OpenOptions,
): Promise<OpenLayers> {
  if (options.monitor) checkMonitor(compiled.plan, names, options.monitor);
  if (compiled.plan.shards) return openShards(compiled, names, options);
  const pack = await openPack(options.pack, compiled.plan);
  try {
    return await onBackend(compiled, options, async (backend) => {
      const { layers, profile } = await backend.load(compiled, pack.weights, names);
      const { device, kind, close } = backend;
      return { layers, device, kind, close, ...(profile !== undefined && { profile }) };
    });
  } finally {
    await pack.close();
  }
}
