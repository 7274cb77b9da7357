// An emitted package on disk, with a pack, and the driver and compiler that it finds here instead of CUDA's.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { readWeights, type WeightSource } from "../../runtime/layer.ts";
import { packMetadata } from "../../runtime/pack/read-pack.ts";
import { kernelsOf, type Plan } from "../../runtime/plan.ts";
import { encodeHeader } from "../../runtime/safetensors.ts";
import { whyNoCompiler } from "../cuda-host/build.ts";
import { type Torch, whyNoPython } from "./python.ts";

const execute = promisify(execFile);

const here = fileURLToPath(new URL(".", import.meta.url));
const FLAGS = ["-std=c++17", "-O1", "-U_FORTIFY_SOURCE", "-ffp-contract=off", "-fPIC", "-shared", `-I${here}`];

/** @returns why emitted packages cannot be run here with either torch, or nothing. */
export async function whyNoPackages(): Promise<Readonly<Record<Torch, string | undefined>>> {
  const compilerMissing = await whyNoCompiler();
  return {
    fake: compilerMissing ?? (await whyNoPython("numpy")),
    real: compilerMissing ?? (await whyNoPython("numpy", "torch.distributed", "safetensors")),
  };
}

export async function writeFiles(folder: string, files: ReadonlyMap<string, string>): Promise<void> {
  for (const [file, text] of files) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), text);
  }
}

/** @returns the bytes of a pack. */
export async function packBytes(plan: Plan, weights: WeightSource, metadata = packMetadata(plan)): Promise<Uint8Array> {
  const tensors = Object.values(plan.layers).flatMap((layer) => layer.tensors);
  const data = await Promise.all(tensors.map((tensor) => readWeights(weights, tensor)));
  return Buffer.concat([encodeHeader(tensors, metadata), ...data]);
}

/**
 * Builds the kernels of a plan into a libcuda.so.1 that runs them on the CPU, and a libnvrtc.so.12, once.
 * @returns the folder of both.
 */
export async function buildLibraries(plan: Plan, files: ReadonlyMap<string, string>): Promise<string> {
  const all = kernelsOf(plan).filter(({ target }) => target === "cuda");
  const kernels = [...new Map(all.map(({ kernel }) => [kernel.file, kernel])).values()];
  const source = [
    '#include "../cuda-host/cuda-on-cpu.h"',
    '#define SHARED_SECTION "cuda_shared"',
    "extern char __start_cuda_shared[] __attribute__((weak));",
    "extern char __stop_cuda_shared[] __attribute__((weak));",
    // Each kernel is a file of its own; their constants share names.
    ...kernels.map(({ file }, i) => `namespace kernel_${i} {\n${files.get(file)}}`),
    "const on_cpu::Kernel cuda_kernels[] = {",
    ...kernels.map(
      ({ name }, i) =>
        `  {"${name}", on_cpu::parameters_of(kernel_${i}::${name}), [](void* const* buffers) { on_cpu::call_with(kernel_${i}::${name}, buffers); }, __start_cuda_shared, __stop_cuda_shared},`,
    ),
    "};",
    `const unsigned int cuda_kernel_count = ${kernels.length};`,
    '#include "fake-cuda.cpp"',
    "",
  ].join("\n");
  const parts = [
    "fake-cuda.cpp",
    "fake-nvrtc.cpp",
    "../cuda-host/cuda-on-cpu.h",
    "../cuda-host/fibers.h",
    "../cuda-host/fibers.cpp",
  ];
  const hash = createHash("sha256").update(JSON.stringify([source, FLAGS]));
  for (const part of parts) hash.update(readFileSync(join(here, part)));
  const libraries = join(tmpdir(), `hirec-torch-${userInfo().uid}`);
  const folder = join(libraries, hash.digest("hex").slice(0, 32));
  if (existsSync(folder)) return folder;
  await mkdir(libraries, { recursive: true, mode: 0o700 });
  const aside = await mkdtemp(join(libraries, "building-"));
  try {
    await writeFile(join(aside, "kernels.cpp"), source);
    await execute("g++", [...FLAGS, join(aside, "kernels.cpp"), "-o", join(aside, "libcuda.so.1")]);
    await execute("g++", [...FLAGS, join(here, "fake-nvrtc.cpp"), "-o", join(aside, "libnvrtc.so.12")]);
    // Another test file may have been first.
    await rename(aside, folder).catch(() => undefined);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return folder;
}
