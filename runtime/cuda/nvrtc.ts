// NVRTC: the CUDA compiler as a library, from the toolkit. It needs no host compiler.

import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { HireError, reasonOf } from "../errors.ts";
import { type Library, loadLibrary } from "../node/library.ts";
import { bestArchitecture, CompileFailure, type CudaCompiler, firstError, STANDARD } from "./compiler.ts";

const NAMES = ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"];

/** NVRTC_ERROR_COMPILATION: the source is at fault. */
const COMPILATION = 6;

const loaded = new Map<string, Promise<CudaCompiler>>();

/**
 * Loads NVRTC: the library that HIREC_LIBNVRTC names and no other, or the first of those that the dynamic linker finds and
 * those below CUDA_HOME, CUDA_PATH and /usr/local/cuda*.
 * @throws Error saying where it was looked for, HireError HIRE-RUN-007 without koffi.
 */
export async function loadNvrtc(): Promise<CudaCompiler> {
  const named = process.env.HIREC_LIBNVRTC;
  const paths = named ? [named] : candidates();
  const reasons = new Set<string>();
  for (const path of paths) {
    if (!loaded.has(path)) loaded.set(path, load(path));
    try {
      return await loaded.get(path)!;
    } catch (thrown) {
      if (thrown instanceof HireError) throw thrown;
      loaded.delete(path);
      reasons.add(reasonOf(thrown));
    }
  }
  throw new Error(`${paths.join(", ")}: ${[...reasons].join("; ")}`);
}

function candidates(): string[] {
  const { CUDA_HOME, CUDA_PATH } = process.env;
  const toolkits = [CUDA_HOME, CUDA_PATH, ...installed()].filter((folder) => folder !== undefined && folder !== "");
  const folders = toolkits.flatMap((folder) => [join(folder!, "lib64"), join(folder!, "lib")]);
  const inFolders = folders
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .filter((path) => existsSync(path));
  return [...NAMES, ...new Set(inFolders)];
}

/** /usr/local/cuda, and those with a version in their name, newest first. */
function installed(): string[] {
  const parent = "/usr/local";
  try {
    const names = readdirSync(parent).filter((name) => /^cuda(-[\d.]+)?$/.test(name));
    const newestFirst = names.sort((a, b) => a.length - b.length || b.localeCompare(a, "en", { numeric: true }));
    return newestFirst.map((name) => join(parent, name));
  } catch {
    return [];
  }
}

async function load(path: string): Promise<CudaCompiler> {
  await loadBuiltins(path);
  return bind(await loadLibrary(path));
}

/** NVRTC opens libnvrtc-builtins by its name alone, which only finds it in a folder of its own when it is there already. */
async function loadBuiltins(path: string): Promise<void> {
  const folder = dirname(path);
  if (path === basename(path) || !existsSync(folder)) return;
  for (const name of readdirSync(folder).filter((each) => each.startsWith("libnvrtc-builtins.so."))) {
    // Of another version it does no harm, and where it cannot be loaded compiling says so.
    await loadLibrary(join(folder, name)).catch(() => undefined);
  }
}

function bind(library: Library): CudaCompiler {
  const handle = "uint64_t";
  const out = "void *";
  const nvrtcVersion = library.bind("nvrtcVersion", [out, out]);
  const nvrtcGetNumSupportedArchs = library.bind("nvrtcGetNumSupportedArchs", [out]);
  const nvrtcGetSupportedArchs = library.bind("nvrtcGetSupportedArchs", [out]);
  const text = "const char *";
  const nvrtcCreateProgram = library.bind("nvrtcCreateProgram", [out, text, text, "int", out, out]);
  const nvrtcDestroyProgram = library.bind("nvrtcDestroyProgram", [out]);
  // A kernel takes a good part of a second.
  const nvrtcCompileProgram = library.bindAsync("nvrtcCompileProgram", [handle, "int", "const char **"]);
  const part = (name: string) => ({
    size: library.bind(`nvrtcGet${name}Size`, [handle, out]),
    read: library.bind(`nvrtcGet${name}`, [handle, out]),
  });
  const parts = { log: part("ProgramLog"), cubin: part("CUBIN"), ptx: part("PTX") };

  const succeed = (call: string, result: number) => {
    if (result !== 0) throw new Error(`${call} failed with nvrtcResult ${result}`);
  };
  const read = (name: keyof typeof parts, program: bigint): Uint8Array => {
    const size = new BigUint64Array(1);
    succeed(`the size of the ${name}`, parts[name].size(program, size));
    const bytes = new Uint8Array(Number(size[0]));
    succeed(`reading the ${name}`, parts[name].read(program, bytes));
    return bytes;
  };

  const [major, minor] = [new Int32Array(1), new Int32Array(1)];
  succeed("nvrtcVersion", nvrtcVersion(major, minor));
  const count = new Int32Array(1);
  succeed("nvrtcGetNumSupportedArchs", nvrtcGetNumSupportedArchs(count));
  const known = new Int32Array(count[0]!);
  succeed("nvrtcGetSupportedArchs", nvrtcGetSupportedArchs(known));
  const name = `NVRTC ${major[0]}.${minor[0]}`;

  return {
    name,
    architectureFor: (capability) =>
      bestArchitecture([...known], capability) ?? {
        unknown: `${name} compiles for sm_${Math.min(...known)} and later`,
      },
    compile: async (source, architecture) => {
      const program = new BigUint64Array(1);
      succeed("nvrtcCreateProgram", nvrtcCreateProgram(program, source.text, source.name, 0, null, null));
      try {
        const options = [`--gpu-architecture=${architecture}`, `--std=${STANDARD}`];
        const result = await nvrtcCompileProgram(program[0]!, options.length, options);
        if (result !== 0) {
          const log = Buffer.from(read("log", program[0]!)).toString("utf8").replace(/\0$/, "");
          if (result === COMPILATION) throw new CompileFailure(firstError(source, log));
          throw new Error(`nvrtcCompileProgram failed with nvrtcResult ${result}: ${log.trim()}`);
        }
        return read(architecture.startsWith("sm_") ? "cubin" : "ptx", program[0]!);
      } finally {
        nvrtcDestroyProgram(program);
      }
    },
  };
}
