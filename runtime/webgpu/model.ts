// A compiled model on a WebGPU device, in a browser or in Node.

import { HireError } from "../errors.ts";
import type { WeightSource } from "../layer.ts";
import type { Plan } from "../plan.ts";
import { createGpuFfn, type GpuFfn } from "./ffn.ts";
import { pickProgram } from "./program.ts";
import { createGpuSoftmax, type GpuSoftmax } from "./softmax.ts";

/** What `hirec compile` makes: the plan, and the source of each kernel by the path that the plan gives it. */
export interface CompiledSources {
  readonly plan: Plan;
  readonly sources: Readonly<Record<string, string>>;
}

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

export interface LoadOptions {
  /** Runs this profile instead of the best that the device supports. */
  readonly profile?: string;
  /** Loads only these layers. */
  readonly layers?: readonly string[];
}

/**
 * Loads a compiled model onto a device that the caller owns.
 * @param weights bytes of each packed tensor, for example from `readPack`.
 * @throws HireError HIRE-RUN-003 to -006, HIRE-RUN-008 (no such layer), HIRE-PLAN-008 (a source is missing).
 */
export async function loadModel(
  device: GPUDevice,
  { plan, sources }: CompiledSources,
  weights: WeightSource,
  options: LoadOptions = {},
): Promise<GpuModel> {
  const program = pickProgram(plan, device, options.profile);
  const source = (file: string) => {
    const text = sources[file];
    if (text !== undefined) return text;
    throw new HireError({
      code: "HIRE-PLAN-008",
      message: `The compiled model "${plan.model}" lacks ${file}`,
      fix: `Compile again: hirec compile ${plan.spec}`,
    });
  };
  const layers: Record<string, GpuLayer> = {};
  const destroy = () => {
    for (const layer of Object.values(layers)) layer.destroy();
  };
  try {
    for (const name of options.layers ?? Object.keys(plan.layers)) {
      const layer = requireLayer(plan, name);
      const layerProgram = program.layers[name]!;
      layers[name] =
        layer.kind === "softmax"
          ? await createGpuSoftmax(device, name, layer, layerProgram, source, weights)
          : await createGpuFfn(device, name, layer, layerProgram, source, weights);
    }
  } catch (thrown) {
    destroy();
    throw thrown;
  }
  const ofKind = <Kind extends GpuLayer["kind"]>(kind: Kind, name: string) => {
    const layer = Object.hasOwn(layers, name) ? layers[name] : undefined;
    if (layer?.kind === kind) return layer as Extract<GpuLayer, { kind: Kind }>;
    const offered = Object.keys(layers).filter((each) => layers[each]!.kind === kind);
    throw noSuchLayer(plan, `${kind} layer "${name}"`, offered);
  };
  return {
    profile: program.profile,
    layers,
    softmax: (name) => ofKind("softmax", name),
    ffn: (name) => ofKind("ffn", name),
    destroy,
  };
}

/** @throws HireError HIRE-RUN-008 when the plan has no layer of that name. */
export function requireLayer(plan: Plan, name: string) {
  const layer = Object.hasOwn(plan.layers, name) ? plan.layers[name] : undefined;
  if (layer) return layer;
  throw noSuchLayer(plan, `layer "${name}"`, Object.keys(plan.layers));
}

function noSuchLayer({ model }: Plan, what: string, offered: readonly string[]): HireError {
  return new HireError({
    code: "HIRE-RUN-008",
    message: `"${model}" has no ${what}`,
    fix: offered.length > 0 ? `Use one of: ${offered.join(", ")}` : "Load the layer first, or take another model",
  });
}
