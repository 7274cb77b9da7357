// The emitted sources as programs for the CPU, built by g++. Built once: a program lies in the temporary folder under the
// hash of all that went into it. Programs that are asked for at about the same time are built as one file, which reads its
// headers and is linked once for all; it lies there under each of their names, and runs the one by whose name it is called.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { access, link, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** Runs of g++ at a time, and programs that one run builds at most. */
const BUILDERS = 2;
const PROGRAMS_PER_RUN = 24;

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

const folder = join(tmpdir(), `hirec-cuda-host-${userInfo().uid}`);

/** @returns why nothing can be built here, or nothing. */
export async function whyNoCompiler(): Promise<string | undefined> {
  return execute("g++", ["--version"]).then(
    () => undefined,
    () => "there is no g++",
  );
}

interface Program {
  /** The hash of all that goes into it. */
  readonly name: string;
  /** In launch order. */
  readonly kernels: readonly NamedSource[];
}

interface Request extends Program {
  readonly watch: Watch;
  readonly built: () => void;
  readonly failed: (reason: unknown) => void;
}

const known = new Map<string, Promise<string>>();
const requests: Request[] = [];
let builders = 0;

/**
 * Builds kernels, in launch order, and what runs them.
 * @returns the path of the program.
 */
export function buildProgram(kernels: readonly NamedSource[], watch: Watch): Promise<string> {
  const name = hashOf([...kernels.flatMap((kernel) => [kernel.name, kernel.source]), ...parts, ...flagsOf(watch)]);
  if (!known.has(name)) known.set(name, findOrBuild({ name, kernels }, watch));
  return known.get(name)!;
}

async function findOrBuild(program: Program, watch: Watch): Promise<string> {
  const path = join(folder, program.name);
  if (await exists(path)) return path;
  await new Promise<void>((built, failed) => {
    requests.push({ ...program, watch, built, failed });
    if (builders < BUILDERS) void serve();
  });
  return path;
}

/** Builds what is asked for, a share at a time, until nothing is. */
async function serve(): Promise<void> {
  builders++;
  // Whoever asks together is served together.
  await new Promise((resolve) => setTimeout(resolve, 10));
  while (requests.length > 0) {
    const { watch } = requests[0]!;
    const alike = requests.filter((request) => request.watch === watch);
    const share = alike.slice(0, Math.min(PROGRAMS_PER_RUN, Math.ceil(alike.length / BUILDERS)));
    requests.splice(0, requests.length, ...requests.filter((request) => !share.includes(request)));
    await build(share, watch).then(
      () => share.forEach(({ built }) => void built()),
      (thrown) => share.forEach(({ failed }) => void failed(thrown)),
    );
  }
  builders--;
}

async function build(programs: readonly Program[], watch: Watch): Promise<void> {
  const flags = flagsOf(watch);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // Built aside and moved into place whole: several test files build at once.
  const aside = await mkdtemp(join(folder, "building-"));
  try {
    const runner = join(folder, `${hashOf([...parts, ...flags])}.o`);
    if (!(await exists(runner))) {
      const object = join(aside, "runner.o");
      const sources = ["fibers.cpp", "run-job.cpp"].map((file) => join(here, file));
      await execute("g++", [...flags, ...WARNINGS, "-r", ...sources, "-o", object]);
      await rename(object, runner);
    }
    const [source, file] = [join(aside, "programs.cpp"), join(aside, "programs")];
    await writeFile(source, sourceOf(programs));
    await execute("g++", [...flags, ...WARNINGS, source, runner, "-o", file]);
    for (const { name } of programs) {
      await link(file, join(aside, name));
      await rename(join(aside, name), join(folder, name));
    }
  } finally {
    await rm(aside, { recursive: true });
  }
}

/** A CUDA driver, its compilers and NCCL without a GPU; see libcuda-on-cpu.cpp, nvrtc-on-cpu.cpp, nvcc-on-cpu.sh, libnccl-on-cpu.cpp. */
export interface CardOnCpu {
  readonly libcuda: string;
  readonly libnvrtc: string;
  readonly libnccl: string;
  readonly nvcc: string;
  /** For images, which serve all tests that compile the same source. */
  readonly cache: string;
}

export async function buildCard(): Promise<CardOnCpu> {
  const text = (file: string) => readFileSync(join(here, file), "utf8");
  const library = async (of: readonly string[], flags: readonly string[], libraries = ["-ldl"]): Promise<string> => {
    const all = ["-std=c++20", ...FLAGS.slice(1), "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", ...flags];
    const path = join(
      folder,
      `${hashOf([...of.map(text), text("driver-on-cpu.h"), ...parts, ...all, ...libraries])}.so`,
    );
    if (await exists(path)) return path;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const aside = await mkdtemp(join(folder, "building-"));
    try {
      await execute("g++", [...all, "-o", join(aside, "out"), ...of.map((file) => join(here, file)), ...libraries]);
      await rename(join(aside, "out"), path);
    } finally {
      await rm(aside, { recursive: true });
    }
    return path;
  };
  const nvcc = join(here, "nvcc-on-cpu.sh");
  // By this name images find the driver that has loaded them, whatever its file is called.
  const soname = "-Wl,-soname,libcuda-on-cpu.so";
  const libcuda = await library(["libcuda-on-cpu.cpp", "fibers.cpp"], [soname]);
  return {
    libcuda,
    libnccl: await library(["libnccl-on-cpu.cpp"], [], [`-L${dirname(libcuda)}`, `-l:${basename(libcuda)}`]),
    libnvrtc: await library(["nvrtc-on-cpu.cpp"], []),
    nvcc,
    cache: join(folder, `images-${hashOf([...parts, text("nvcc-on-cpu.sh")])}`),
  };
}

function sourceOf(programs: readonly Program[]): string {
  const numbers = new Map<string, number>();
  for (const { kernels } of programs) {
    for (const { source } of kernels) if (!numbers.has(source)) numbers.set(source, numbers.size);
  }
  const names = new Map(programs.flatMap(({ kernels }) => kernels.map(({ name, source }) => [source, name] as const)));
  const entry = ({ source }: NamedSource) => `kernel_${numbers.get(source)}::entry`;
  return [
    '#include "cuda-on-cpu.h"',
    ...[...numbers].map(([source, number]) => namespaceOf(names.get(source)!, source, number)),
    ...programs.map(
      ({ kernels }, i) => `static const on_cpu::Kernel program_${i}[] = {${kernels.map(entry).join(", ")}};`,
    ),
    // A constant is seen by other files only where it was declared so.
    "extern const on_cpu::Program cuda_programs[];",
    "const on_cpu::Program cuda_programs[] = {",
    ...programs.map(({ name, kernels }, i) => `  {"${name}", program_${i}, ${kernels.length}},`),
    "  {nullptr, nullptr, 0},",
    "};",
    "",
  ].join("\n");
}

/** Each kernel is a file of its own. Their constants share names, and so do kernels, which a namespace does not part: they are C. */
function namespaceOf(name: string, source: string, number: number): string {
  const section = `cuda_shared_${number}`;
  return `#define ${name} ${name}_${number}
#undef SHARED_SECTION
#define SHARED_SECTION "${section}"
extern char __start_${section}[] __attribute__((weak));
extern char __stop_${section}[] __attribute__((weak));
namespace kernel_${number} {
#line 1 "${name}.cu"
${source}
static const on_cpu::Kernel entry = {
  "${name}", on_cpu::parameters_of(${name}), [](void* const* buffers) { on_cpu::call_with(${name}, buffers); }, __start_${section}, __stop_${section},
};
}
#undef ${name}
`;
}

function flagsOf(watch: Watch): string[] {
  return [...FLAGS, ...WATCH_FLAGS[watch]];
}

function hashOf(of: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(of)).digest("hex").slice(0, 32);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
