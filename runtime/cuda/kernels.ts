// The kernels of a layer, loaded onto a device: an image each, and in it the function to launch.

import { availableParallelism } from "node:os";
import { HireError } from "../errors.ts";
import { pickProgramOf } from "../model.ts";
import { inParallel } from "../node/in-parallel.ts";
import type { CudaProgram, KernelPlan, Plan } from "../plan.ts";
import type { CompiledImages } from "./compiled-images.ts";
import type { CudaDevice } from "./device.ts";
import { CudaCallError, type Handle, PTX_VERSION, RESULT } from "./driver.ts";
import { findImage, type KernelImage, kernelRefused } from "./images.ts";

export interface LoadedKernel {
  readonly plan: KernelPlan;
  readonly function: Handle;
  /** Whether it waits for the kernel before on its stream, and may be launched while that one runs. */
  readonly early: boolean;
}

export interface LoadedKernels {
  /** In launch order. */
  readonly kernels: readonly LoadedKernel[];
  unload(): void;
}

/**
 * The first CUDA program of the plan that was made for the card or for one before it.
 * @throws HireError HIRE-RUN-006 when there is none, naming what the device lacks.
 */
export function pickCudaProgram(plan: Plan, device: CudaDevice, profile?: string): CudaProgram {
  return pickProgramOf(plan, "cuda", (program) => missingOn(device, program), profile);
}

function missingOn({ name, capability, limits: offered }: CudaDevice, { architecture, limits }: CudaProgram): string[] {
  const missing: string[] = [];
  if (Number(architecture.replace("sm_", "")) > capability) {
    missing.push(`${architecture} (${name} is sm_${capability})`);
  }
  for (const [limit, wanted] of Object.entries(limits)) {
    const has = offered[limit] ?? 0;
    if (has < wanted) missing.push(`${limit} ${wanted} (it has ${has})`);
  }
  return missing;
}

/**
 * @throws HireError HIRE-RUN-003 when a source does not compile, HIRE-RUN-011 when nothing can compile it, HIRE-RUN-012 when an
 * image does not fit the card.
 */
export async function loadKernels(
  device: CudaDevice,
  kernels: readonly KernelPlan[],
  source: (file: string) => string,
  ahead?: CompiledImages,
): Promise<LoadedKernels> {
  const images = await inParallel(kernels, availableParallelism(), (kernel) =>
    findImage(kernel, source(kernel.file), device.capability, ahead),
  );
  const modules: Handle[] = [];
  const unload = () => {
    for (const module of modules.splice(0)) {
      device.call("unloading a kernel", (driver) => driver.unloadModule(module));
    }
  };
  try {
    const loaded = kernels.map((kernel, i) => {
      const module = loadImage(device, kernel, images[i]!);
      modules.push(module);
      const handle = findFunction(device, kernel, module, images[i]!);
      return { plan: kernel, function: handle, early: device.launchesEarly && waitsItself(device, kernel, handle) };
    });
    return { kernels: loaded, unload };
  } catch (thrown) {
    unload();
    throw thrown;
  }
}

/** What the driver says of an image that is broken or for another card. */
const UNFIT: ReadonlySet<number> = new Set([
  RESULT.INVALID_IMAGE,
  RESULT.NO_BINARY_FOR_GPU,
  RESULT.INVALID_PTX,
  RESULT.UNSUPPORTED_PTX_VERSION,
]);

function loadImage(device: CudaDevice, kernel: KernelPlan, { bytes, from }: KernelImage): Handle {
  return device.call(`loading kernel ${kernel.name}`, (driver) => {
    try {
      // PTX is a text, which has to end.
      return driver.loadModule(Buffer.concat([bytes, new Uint8Array(1)]));
    } catch (thrown) {
      if (!(thrown instanceof CudaCallError) || !UNFIT.has(thrown.number)) throw thrown;
      throw new HireError(
        {
          code: "HIRE-RUN-012",
          message: `The image of kernel ${kernel.name} (${from}) does not fit ${device.name}, sm_${device.capability}: ${thrown.message}`,
          fix: "Compile ahead again, with hirec compile --target cuda --fatbin, or delete the image: then it is made anew. A driver that is older than the toolkit has to be updated",
        },
        { cause: thrown },
      );
    }
  });
}

/** Compiled for cards before 9.0, a kernel does not wait, whatever card it runs on. */
const WAITING_ARCHITECTURE = 90;

function waitsItself(device: CudaDevice, { name }: KernelPlan, kernel: Handle): boolean {
  const compiledFor = device.call(`loading kernel ${name}`, (driver) => driver.functionAttribute(kernel, PTX_VERSION));
  return compiledFor >= WAITING_ARCHITECTURE;
}

function findFunction(device: CudaDevice, kernel: KernelPlan, module: Handle, { from }: KernelImage): Handle {
  return device.call(`loading kernel ${kernel.name}`, (driver) => {
    try {
      return driver.function(module, kernel.name);
    } catch (thrown) {
      if (!(thrown instanceof CudaCallError) || thrown.number !== RESULT.NOT_FOUND) throw thrown;
      throw kernelRefused(kernel, `${from} has no kernel of that name`, thrown);
    }
  });
}
