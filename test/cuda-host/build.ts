// The emitted sources as a program for the CPU, built by g++. Built once: the program lies in the temporary folder under
// the hash of all that went into it.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { access, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** Programs built at a time. */
const BUILDERS = 2;

const here = fileURLToPath(new URL(".", import.meta.url));
const parts = ["cuda-on-cpu.h", "fibers.h", "fibers.cpp", "run-job.cpp"].map((file) =>
  readFileSync(join(here, file), "utf8"),
);

/**
 * What finds mistakes: `poison` fills shared memory with garbage and surrounds buffers with canaries, `sanitize` watches
 * every load, store and operation, and is slower.
 */
export type Watch = "poison" | "sanitize";

// No contraction of products and sums, so that a program is the same on every CPU.
const FLAGS = ["-std=c++17", "-O1", "-U_FORTIFY_SOURCE", "-ffp-contract=off", `-I${here}`];
// The kernels have no warnings of their own; g++ does not know the pragmas of CUDA.
const WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"];
const WATCH_FLAGS: Readonly<Record<Watch, readonly string[]>> = {
  poison: [],
  sanitize: ["-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
};

export interface NamedSource {
  readonly name: string;
  readonly source: string;
}

/** @returns why nothing can be built here, or nothing. */
export async function whyNoCompiler(): Promise<string | undefined> {
  return execute("g++", ["--version"]).then(
    () => undefined,
    () => "there is no g++",
  );
}

/**
 * Builds kernels, in launch order, and what runs them.
 * @returns the path of the program.
 */
export async function buildProgram(kernels: readonly NamedSource[], watch: Watch): Promise<string> {
  const main = [
    '#include "cuda-on-cpu.h"',
    // Each kernel is a file of its own; their constants share names.
    ...kernels.map(({ source }, i) => `namespace kernel_${i} {\n${source}}`),
    // A constant is seen by other files only where it was declared so.
    "extern const on_cpu::Kernel cuda_kernels[];",
    "extern const unsigned int cuda_kernel_count;",
    "const on_cpu::Kernel cuda_kernels[] = {",
    ...kernels.map(
      ({ name }, i) =>
        `  {"${name}", on_cpu::parameters_of(kernel_${i}::${name}), [](void* const* buffers) { on_cpu::call_with(kernel_${i}::${name}, buffers); }},`,
    ),
    "};",
    `const unsigned int cuda_kernel_count = ${kernels.length};`,
    "",
  ].join("\n");
  const flags = [...FLAGS, ...WATCH_FLAGS[watch]];
  const runner = await cached([...parts, ...flags], ".o", async (out) => {
    const sources = ["fibers.cpp", "run-job.cpp"].map((file) => join(here, file));
    await execute("g++", [...flags, ...WARNINGS, "-r", ...sources, "-o", out]);
  });
  return cached([main, ...parts, ...flags], "", async (out) => {
    await writeFile(`${out}.cpp`, main);
    await execute("g++", [...flags, ...WARNINGS, `${out}.cpp`, runner, "-o", out]);
  });
}

/** A CUDA driver and its compilers without a GPU; see libcuda-on-cpu.cpp, nvrtc-on-cpu.cpp and nvcc-on-cpu.sh. */
export interface CardOnCpu {
  readonly libcuda: string;
  readonly libnvrtc: string;
  readonly nvcc: string;
  /** For images, which serve all tests that compile the same source. */
  readonly cache: string;
}

export async function buildCard(): Promise<CardOnCpu> {
  const text = (file: string) => readFileSync(join(here, file), "utf8");
  const library = (of: readonly string[], flags: readonly string[]) =>
    cached([...of.map(text), text("driver-on-cpu.h"), ...parts, ...flags], ".so", (out) =>
      execute("g++", [
        "-std=c++20",
        ...FLAGS.slice(1),
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fPIC",
        "-shared",
        ...flags,
        "-o",
        out,
        ...of.map((file) => join(here, file)),
        "-ldl",
      ]),
    );
  const nvcc = join(here, "nvcc-on-cpu.sh");
  // By this name images find the driver that has loaded them, whatever its file is called.
  const soname = "-Wl,-soname,libcuda-on-cpu.so";
  return {
    libcuda: await library(["libcuda-on-cpu.cpp", "fibers.cpp"], [soname]),
    libnvrtc: await library(["nvrtc-on-cpu.cpp"], []),
    nvcc,
    cache: join(folderOfBuilds, `images-${hashOf([...parts, text("nvcc-on-cpu.sh")])}`),
  };
}

const folderOfBuilds = join(tmpdir(), `hirec-cuda-host-${userInfo().uid}`);

function hashOf(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32);
}

const running = new Map<string, Promise<string>>();
const turns = Array.from({ length: BUILDERS }, () => Promise.resolve());
let next = 0;

function cached(of: readonly string[], extension: string, build: (out: string) => Promise<unknown>): Promise<string> {
  const hash = hashOf(of);
  const known = running.get(hash);
  if (known) return known;
  const made = (async () => {
    const folder = folderOfBuilds;
    const path = join(folder, `${hash}${extension}`);
    if (await exists(path)) return path;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // Built aside and moved into place whole: several test files build at once.
    const aside = await mkdtemp(join(folder, "building-"));
    const turn = next++ % BUILDERS;
    const built = turns[turn]!.then(() => build(join(aside, "out")));
    turns[turn] = built.then(
      () => undefined,
      () => undefined,
    );
    try {
      await built;
      await rename(join(aside, "out"), path);
    } finally {
      await rm(aside, { recursive: true });
    }
    return path;
  })();
  running.set(hash, made);
  return made;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
