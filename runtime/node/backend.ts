// What layers run on, by the device of one's choice: whole models, and the parts of shards.

import { localRank } from "../collective/mpi-launch.ts";
import type { RawLoader } from "../collective/raw-layer.ts";
import { requestCudaDevice } from "../cuda/device.ts";
import { loadCudaDriver } from "../cuda/libcuda.ts";
import { type CompiledCuda, cudaLoader, loadCudaModel } from "../cuda/model.ts";
import { HireError } from "../errors.ts";
import type { WeightSource } from "../layer.ts";
import { requireLayer } from "../model.ts";
import type { Program } from "../plan.ts";
import { createReference } from "../reference/layer.ts";
import { referenceLoader } from "../reference/shards.ts";
import { gpuLoader, loadModel } from "../webgpu/model.ts";
import { type DeviceChoice, requestNodeDevice } from "./device.ts";
import type { OpenOptions, RunnableLayer } from "./open-layers.ts";

export interface Backend {
  /** Where it runs, in words. */
  readonly device: string;
  readonly kind: "hardware" | "software" | "reference";
  /** Whole layers. */
  load(
    compiled: CompiledCuda,
    weights: WeightSource,
    names: readonly string[],
  ): Promise<{ readonly layers: Readonly<Record<string, RunnableLayer>>; readonly profile?: string }>;
  /** What a shard needs. @param compiled of all shards. @param weights of the shard's pack. */
  loader(compiled: CompiledCuda, weights: WeightSource): RawLoader;
  /** Frees what was loaded, too. */
  close(): void;
}

/**
 * Opens the device and does something with it; with `auto`, on the first that can.
 * @throws HireError of the family HIRE-RUN, and what `work` throws; the device is closed then.
 */
export async function onBackend<Result>(
  { plan }: CompiledCuda,
  { device, profile }: OpenOptions,
  work: (backend: Backend) => Promise<Result>,
): Promise<Result> {
  if (device === "reference") return work(reference());
  const doOn = async (open: () => Promise<Backend>) => {
    const backend = await open();
    try {
      return await work(backend);
    } catch (thrown) {
      backend.close();
      throw thrown;
    }
  };
  if (device === "cuda") return doOn(() => openCuda(profile));
  if (device === "auto" && plan.programs.some(isWanted(profile))) {
    const done = await doOn(() => openCuda(profile)).then(
      (result) => ({ result }),
      (thrown) => {
        if (thrown instanceof HireError && NO_CUDA.has(thrown.code)) return undefined;
        throw thrown;
      },
    );
    if (done) return done.result;
  }
  return doOn(() => openWebgpu(device, profile));
}

/** Whether CUDA is to be tried for a program: there are profiles of both targets, and one of WebGPU may be insisted on. */
function isWanted(profile: string | undefined) {
  return (program: Program) => program.target === "cuda" && (profile === undefined || program.profile === profile);
}

/** What `auto` takes for an answer: no device, no koffi, a card before all profiles, nothing to compile with. */
const NO_CUDA: ReadonlySet<string> = new Set(["HIRE-RUN-001", "HIRE-RUN-006", "HIRE-RUN-007", "HIRE-RUN-011"]);

function reference(): Backend {
  return {
    device: "float64 on the CPU",
    kind: "reference",
    load: async ({ plan }, weights, names) => {
      const layers: Record<string, RunnableLayer> = {};
      for (const name of names) layers[name] = await createReference(name, requireLayer(plan, name), weights);
      return { layers };
    },
    loader: ({ plan }, weights) => referenceLoader(plan, weights),
    close: () => {},
  };
}

/** Ranks of one machine take its cards in turn. */
async function openCuda(profile: string | undefined): Promise<Backend> {
  const driver = await loadCudaDriver();
  const ordinal = localRank() % Math.max(1, driver.deviceCount());
  const device = await requestCudaDevice({ driver, ordinal });
  const loaded: { destroy(): void }[] = [];
  return {
    device: `${device.name} (CUDA ${device.driverVersion})`,
    kind: "hardware",
    load: async (compiled, weights, layers) => {
      const model = await loadCudaModel(device, compiled, weights, {
        layers,
        ...(profile !== undefined && { profile }),
      });
      loaded.push(model);
      return model;
    },
    loader: (compiled, weights) => cudaLoader(device, compiled, weights, profile),
    close: () => {
      for (const model of loaded.splice(0)) model.destroy();
      device.close();
    },
  };
}

async function openWebgpu(choice: DeviceChoice, profile: string | undefined): Promise<Backend> {
  const { device, description, kind, close } = await requestNodeDevice(choice);
  return {
    device: description,
    kind,
    load: (compiled, weights, layers) =>
      loadModel(device, compiled, weights, { layers, ...(profile !== undefined && { profile }) }),
    loader: (compiled, weights) => gpuLoader(device, compiled, weights, profile),
    close,
  };
}
