// The layers of a compiled model on the device of one's choice, whatever runs them.

import { requestCudaDevice } from "../cuda/device.ts";
import { type CompiledCuda, loadCudaModel } from "../cuda/model.ts";
import { HireError } from "../errors.ts";
import type { SoftmaxInputs } from "../inputs.ts";
import type { LayerResult, WeightSource } from "../layer.ts";
import { type LoadOptions, requireLayer } from "../model.ts";
import type { Program } from "../plan.ts";
import { createReference } from "../reference/layer.ts";
import { loadModel } from "../webgpu/model.ts";
import { type DeviceChoice, requestNodeDevice } from "./device.ts";
import { openPack } from "./pack-file.ts";

/** `auto` takes CUDA where the model has a program for it and all that it needs is here, else what `requestNodeDevice` takes. */
export type RunDevice = DeviceChoice | "cuda" | "reference";

export interface OpenOptions {
  readonly pack: string;
  readonly device: RunDevice;
  readonly profile?: string;
}

/** A layer of any kind on any device; `x` is `[tokens, inputs]`. */
export interface RunnableLayer {
  run(x: Float32Array, inputs?: SoftmaxInputs): Promise<LayerResult>;
}

export interface OpenLayers {
  /** Where they run, in words. */
  readonly device: string;
  readonly kind: "hardware" | "software" | "reference";
  readonly profile?: string;
  readonly layers: Readonly<Record<string, RunnableLayer>>;
  close(): void;
}

/**
 * Loads layers and their weights onto the device of one's choice.
 * @throws HireError of the families HIRE-PACK and HIRE-RUN.
 */
export async function openLayers(
  compiled: CompiledCuda,
  names: readonly string[],
  options: OpenOptions,
): Promise<OpenLayers> {
  const pack = await openPack(options.pack, compiled.plan);
  const { device } = options;
  const wanted = { layers: names, ...(options.profile !== undefined && { profile: options.profile }) };
  try {
    if (device === "reference") {
      const layers: Record<string, RunnableLayer> = {};
      for (const name of names) {
        layers[name] = await createReference(name, requireLayer(compiled.plan, name), pack.weights);
      }
      return { layers, close: () => {}, device: "float64 on the CPU", kind: "reference" };
    }
    if (device === "cuda") return await openOnCuda(compiled, pack.weights, wanted);
    if (device === "auto" && compiled.plan.programs.some(isWanted(options.profile))) {
      const opened = await openOnCuda(compiled, pack.weights, wanted).catch((thrown) => {
        if (thrown instanceof HireError && NO_CUDA.has(thrown.code)) return undefined;
        throw thrown;
      });
      if (opened) return opened;
    }
    return await openOnWebgpu(device, compiled, pack.weights, wanted);
  } finally {
    await pack.close();
  }
}

/** Whether CUDA is to be tried for a program: there are profiles of both targets, and one of WebGPU may be insisted on. */
function isWanted(profile: string | undefined) {
  return (program: Program) => program.target === "cuda" && (profile === undefined || program.profile === profile);
}

/** What `auto` takes for an answer: no device, no koffi, a card before all profiles, nothing to compile with. */
const NO_CUDA: ReadonlySet<string> = new Set(["HIRE-RUN-001", "HIRE-RUN-006", "HIRE-RUN-007", "HIRE-RUN-011"]);

async function openOnCuda(compiled: CompiledCuda, weights: WeightSource, wanted: LoadOptions): Promise<OpenLayers> {
  const device = await requestCudaDevice();
  try {
    const model = await loadCudaModel(device, compiled, weights, wanted);
    const close = () => {
      model.destroy();
      device.close();
    };
    const { layers, profile } = model;
    return { layers, close, device: `${device.name} (CUDA ${device.driverVersion})`, kind: "hardware", profile };
  } catch (thrown) {
    device.close();
    throw thrown;
  }
}

async function openOnWebgpu(
  choice: DeviceChoice,
  compiled: CompiledCuda,
  weights: WeightSource,
  wanted: LoadOptions,
): Promise<OpenLayers> {
  const { device, description, kind, close } = await requestNodeDevice(choice);
  try {
    const { layers, profile } = await loadModel(device, compiled, weights, wanted);
    return { layers, close, device: description, kind, profile };
  } catch (thrown) {
    close();
    throw thrown;
  }
}
