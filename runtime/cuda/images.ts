// Where the kernel image of a source comes from: compiled ahead with `hirec compile --fatbin`, or compiled now, by NVRTC or
// nvcc, and kept in the user's cache folder.

import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { HireError, reasonOf } from "../errors.ts";
import { cacheFolders } from "../node/cache-folder.ts";
import type { KernelPlan } from "../plan.ts";
import { type CompiledImages, hashOf } from "./compiled-images.ts";
import { type Architecture, CompileFailure, type CudaCompiler, type CudaSource } from "./compiler.ts";
import { findNvcc } from "./nvcc.ts";
import { loadNvrtc } from "./nvrtc.ts";

export interface KernelImage {
  readonly bytes: Uint8Array;
  /** Where it is from, in words. */
  readonly from: string;
}

/**
 * The image of a kernel for a card.
 * @param capability of the card, such as 90.
 * @param ahead images that were compiled ahead.
 * @throws HireError HIRE-RUN-003 when the compiler refuses the source, HIRE-RUN-011 when nothing here can compile it.
 */
export async function findImage(
  kernel: KernelPlan,
  text: string,
  capability: number,
  ahead?: CompiledImages,
): Promise<KernelImage> {
  const found = ahead ? await ahead(kernel.file, text, capability) : { reason: "none were given" };
  if ("image" in found) return { bytes: found.image, from: found.from };
  const reasons = [`images compiled ahead: ${found.reason}`];
  const source = { name: basename(kernel.file), text };
  for (const [name, find] of COMPILERS) {
    try {
      const compiler = await find();
      const architecture = compiler.architectureFor(capability);
      if (typeof architecture === "string") return await compileOnce(compiler, source, architecture);
      reasons.push(`${name}: ${architecture.unknown}`);
    } catch (thrown) {
      if (thrown instanceof CompileFailure) throw kernelRefused(kernel, thrown.message, thrown);
      if (thrown instanceof HireError) throw thrown;
      reasons.push(`${name}: ${reasonOf(thrown)}`);
    }
  }
  throw noCompiler(
    `Nothing here can make an image of kernel ${kernel.name} for sm_${capability}; ${reasons.join("; ")}`,
    "Install the CUDA toolkit (its NVRTC is enough; HIREC_LIBNVRTC names the library where it lies elsewhere), or run hirec compile --target cuda --fatbin where nvcc is and take the folder along",
  );
}

const COMPILERS: readonly (readonly [name: string, find: () => Promise<CudaCompiler>])[] = [
  ["NVRTC", loadNvrtc],
  ["nvcc", findNvcc],
];

export function noCompiler(message: string, fix: string): HireError {
  return new HireError({ code: "HIRE-RUN-011", message, fix });
}

export function kernelRefused({ name, file }: KernelPlan, why: string, cause?: unknown): HireError {
  return new HireError(
    {
      code: "HIRE-RUN-003",
      message: `The CUDA compiler refuses kernel ${name} (${file}): ${why}`,
      fix: "If the file was edited, compile again; otherwise report it with the output of hirec doctor",
    },
    { cause },
  );
}

/** Compiles a source, unless its image lies in the cache: what decides its bytes is its name there. */
async function compileOnce(
  compiler: CudaCompiler,
  source: CudaSource,
  architecture: Architecture,
): Promise<KernelImage> {
  const key = hashOf(JSON.stringify([compiler.name, architecture, source.text]));
  const paths = cacheFolders().map((folder) => join(folder, "cuda", `${key}.image`));
  for (const path of paths) {
    const bytes = await readFile(path).catch(() => undefined);
    if (bytes) return { bytes, from: `${path}, made by ${compiler.name}` };
  }
  const bytes = await compiler.compile(source, architecture);
  for (const path of paths) {
    if (await keep(path, bytes)) break;
  }
  return { bytes, from: compiler.name };
}

let temporaries = 0;

/** Files appear whole: another process may read them. @returns whether it was possible, which nothing depends on. */
async function keep(path: string, bytes: Uint8Array): Promise<boolean> {
  const temporary = `${path}.${process.pid}.${temporaries++}`;
  try {
    await mkdir(join(path, ".."), { recursive: true });
    await writeFile(temporary, bytes);
    await rename(temporary, path);
    return true;
  } catch {
    return false;
  }
}
