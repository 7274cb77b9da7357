// A compiled model on a WebGPU device, in a browser or in Node.

import type { RawLoader } from "../collective/raw-layer.ts";
import type { WeightSource } from "../layer.ts";
import {
  type CompiledParts,
  type CompiledSources,
  type LoadOptions,
  loadLayers,
  readSources,
  requireLayer,
  sourceOf,
} from "../model.ts";
import { asPlan } from "../plan.ts";
import { createDeviceLayer } from "./device-layer.ts";
import { createGpuFfn, type GpuFfn } from "./ffn.ts";
import { pickProgram } from "./program.ts";
import { createGpuSoftmax, type GpuSoftmax } from "./softmax.ts";

export type GpuLayer = GpuSoftmax | GpuFfn;

export interface GpuModel {
  /** The device profile whose kernels run. */
  readonly profile: string;
  readonly layers: Readonly<Record<string, GpuLayer>>;
  /** The output head of that name. @throws HireError HIRE-RUN-008 when there is none. */
  softmax(name: string): GpuSoftmax;
  /** The feed-forward of that name. @throws HireError HIRE-RUN-008 when there is none. */
  ffn(name: string): GpuFfn;
  /** Frees every buffer that the model owns; the device stays the caller's. */
  destroy(): void;
}

/**
 * Loads a compiled model onto a device that the caller owns.
 * @param compiled what `readCompiledFolder` or `fetchCompiled` gives; in a bundle, plan.json and the sources as texts.
 * @param weights of each packed tensor, for example from `readPack` or `fetchPack`.
 * @throws HireError HIRE-RUN-003 to -006, HIRE-RUN-008 (no such layer), HIRE-PLAN-005 (a plan of another version), HIRE-PLAN-008
 * (no plan, or a source is missing), and what the weights throw.
 */
export async function loadModel(
  device: GPUDevice,
  compiled: CompiledParts,
  weights: WeightSource,
  options: LoadOptions = {},
): Promise<GpuModel> {
  const plan = asPlan(compiled.plan, "The plan");
  const program = pickProgram(plan, device, options.profile);
  const names = options.layers ?? Object.keys(plan.layers);
  for (const name of names) requireLayer(plan, name);
  const files = names.flatMap((name) => program.layers[name]!.kernels.map(({ file }) => file));
  const sources = await readSources(compiled.sources, files);
  const source = (file: string) => sourceOf({ plan, sources }, file);
  const layers = await loadLayers(plan, names, async (name, layer): Promise<GpuLayer> => {
    const layerProgram = program.layers[name]!;
    return layer.kind === "softmax"
      ? createGpuSoftmax(device, name, layer, layerProgram, source, weights)
      : createGpuFfn(device, name, layer, layerProgram, source, weights);
  });
  return { profile: program.profile, ...layers };
}

/**
 * What sharded layers need of a device that the caller owns.
 * @param weights of the shard's pack.
 * @throws HireError HIRE-RUN-006 when there is none.
 */
export function gpuLoader(
  device: GPUDevice,
  compiled: CompiledSources,
  weights: WeightSource,
  profile?: string,
): RawLoader {
  return {
    profile: pickProgram(compiled.plan, device, profile).profile,
    load: (name, plan, program) =>
      createDeviceLayer(device, name, plan, program, (file) => sourceOf(compiled, file), weights),
  };
}
