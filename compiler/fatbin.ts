// hirec compile --fatbin: kernel images beside the CUDA sources, so that whoever runs them needs no compiler. They are no part
// of what a spec compiles to: other versions of nvcc make other bytes.

import { readFile, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import {
  hashOf,
  IMAGES_FILE,
  IMAGES_FORMAT,
  type ImagesList,
  type ListedImage,
  readImagesList,
} from "../runtime/cuda/compiled-images.ts";
import { CompileFailure } from "../runtime/cuda/compiler.ts";
import { kernelRefused, noCompiler } from "../runtime/cuda/images.ts";
import { findNvcc, type Nvcc } from "../runtime/cuda/nvcc.ts";
import { HireError, reasonOf } from "../runtime/errors.ts";
import { inParallel } from "../runtime/node/in-parallel.ts";
import { writeWhole } from "../runtime/node/write-whole.ts";
import type { KernelPlan, Plan } from "../runtime/plan.ts";
import type { CompiledModel } from "./emit.ts";
import { PROFILES } from "./profiles.ts";

export interface FatbinSummary {
  readonly compiler: string;
  /** Paths below the compiled folder. */
  readonly compiled: readonly string[];
  readonly unchanged: readonly string[];
  readonly removed: readonly string[];
}

/**
 * What is in each image: instructions for the cards of the profiles, and PTX for all others, of which only cards before the
 * 9.0 that it is made for have none of their own generation. Kernels of 9.0 wait for the one before by themselves.
 */
const CAPABILITIES = PROFILES.cuda
  .map(({ architecture }) => Number(architecture.replace("sm_", "")))
  .sort((a, b) => a - b);
const PTX = 90;

const FLAGS = [
  "-fatbin",
  ...CAPABILITIES.flatMap((each) => ["-gencode", `arch=compute_${each},code=sm_${each}`]),
  ...["-gencode", `arch=compute_${PTX},code=compute_${PTX}`],
];

/**
 * Runs nvcc once for every source whose image is not there yet, several at a time, and then writes all images and their list.
 * @param folder of the model, whose sources are written.
 * @param onProgress called with the sources that are done and all.
 * @throws HireError HIRE-PLAN-004 when the model has no CUDA sources, HIRE-RUN-011 when nvcc is missing or too old, HIRE-RUN-003
 * when it refuses a source, HIRE-PLAN-006 when the folder cannot be written.
 */
export async function compileFatbins(
  folder: string,
  { plan, files }: CompiledModel,
  onProgress?: (done: number, total: number) => void,
): Promise<FatbinSummary> {
  const kernels = cudaKernels(plan);
  const nvcc = await findNvcc().catch((thrown) => {
    throw noCompiler(
      `nvcc cannot be run: ${reasonOf(thrown)}`,
      "Install the CUDA toolkit 12.8 or later, and put its bin folder on the PATH",
    );
  });
  const before = await readImagesList(folder);
  let done = 0;
  onProgress?.(done, kernels.length);
  const images = await inParallel(kernels, availableParallelism(), async (kernel) => {
    const image = await makeImage(folder, nvcc, kernel, files.get(kernel.file)!, before?.kernels[kernel.file]);
    onProgress?.(++done, kernels.length);
    return image;
  });
  for (const { listed, bytes } of images) if (bytes) await writeBytes(join(folder, listed.image), bytes);
  const list: ImagesList = {
    format: IMAGES_FORMAT,
    kernels: Object.fromEntries(images.map(({ listed }, i) => [kernels[i]!.file, listed])),
  };
  await writeBytes(join(folder, IMAGES_FILE), `${JSON.stringify(list, null, 2)}\n`);
  const names = (isNew: boolean) =>
    images.filter(({ bytes }) => (bytes !== undefined) === isNew).map(({ listed }) => listed.image);
  return {
    compiler: nvcc.name,
    compiled: names(true),
    unchanged: names(false),
    removed: await removeOthers(folder, before, list),
  };
}

/** Each source once; profiles share them. */
function cudaKernels(plan: Plan): KernelPlan[] {
  const programs = plan.programs.filter(({ target }) => target === "cuda");
  const kernels = programs.flatMap(({ layers }) => Object.values(layers).flatMap((layer) => layer.kernels));
  if (kernels.length > 0) return [...new Map(kernels.map((kernel) => [kernel.file, kernel])).values()];
  throw new HireError({
    code: "HIRE-PLAN-004",
    message: `"${plan.model}" is not compiled for CUDA, so there are no sources for images`,
    fix: "Add --target cuda",
  });
}

interface Image {
  readonly listed: ListedImage;
  /** Absent where the image of the folder is the one. */
  readonly bytes?: Uint8Array;
}

async function makeImage(
  folder: string,
  nvcc: Nvcc,
  kernel: KernelPlan,
  text: string,
  before?: ListedImage,
): Promise<Image> {
  const image = kernel.file.replace(/\.cu$/, ".fatbin");
  const made = { image, sourceHash: hashOf(text), compiler: nvcc.name, capabilities: CAPABILITIES, ptx: PTX };
  const listed = { ...made, imageHash: before?.imageHash ?? "" };
  if (before && isSame(before, listed)) {
    const present = await readFile(join(folder, image)).catch(() => undefined);
    if (present && hashOf(present) === before.imageHash) return { listed };
  }
  try {
    const bytes = await nvcc.run({ name: basename(kernel.file), text }, FLAGS);
    return { listed: { ...made, imageHash: hashOf(bytes) }, bytes };
  } catch (thrown) {
    if (thrown instanceof CompileFailure) throw kernelRefused(kernel, thrown.message, thrown);
    throw noCompiler(
      `${nvcc.name} cannot compile ${kernel.file}: ${reasonOf(thrown)}`,
      "Install the CUDA toolkit 12.8 or later, and a host compiler that it supports",
    );
  }
}

function isSame(one: ListedImage, other: ListedImage): boolean {
  const words = (each: ListedImage) => JSON.stringify(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)));
  return words(one) === words(other);
}

function writeBytes(path: string, data: Uint8Array | string): Promise<void> {
  return writeWhole(path, "HIRE-PLAN-006", async (handle) => {
    await handle.writeFile(data);
  });
}

/** Images that the list named before and names no longer. */
async function removeOthers(folder: string, before: ImagesList | undefined, now: ImagesList): Promise<string[]> {
  const wanted = new Set(Object.values(now.kernels).map(({ image }) => image));
  const others = Object.values(before?.kernels ?? {}).map(({ image }) => image);
  // A list that somebody edited must not make this remove other files.
  const removed = others.filter((image) => !wanted.has(image) && /^cuda[\w-]*\/[\w.-]+\.fatbin$/.test(image));
  for (const image of removed) await rm(join(folder, image), { force: true });
  return removed;
}
