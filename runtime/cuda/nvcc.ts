// nvcc: the CUDA compiler as a program, from the toolkit. It needs a host compiler, such as g++.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { reasonOf } from "../errors.ts";
import { CompileFailure, type CudaCompiler, type CudaSource, firstError, STANDARD } from "./compiler.ts";

const execute = promisify(execFile);

export interface Nvcc extends CudaCompiler {
  /** Compiles with flags of one's own, such as `-fatbin`. @throws as `compile`. */
  run(source: CudaSource, flags: readonly string[]): Promise<Uint8Array>;
}

/**
 * The nvcc on the PATH.
 * @throws Error when there is none.
 */
export async function findNvcc(): Promise<Nvcc> {
  const { stdout } = await execute("nvcc", ["--version"]).catch((thrown: NodeJS.ErrnoException) => {
    throw new Error(thrown.code === "ENOENT" ? "it is not on the PATH" : reasonOf(thrown).trim(), { cause: thrown });
  });
  const [version] = stdout.match(/V\d[\d.]*/) ?? ["of unknown version"];
  return {
    name: `nvcc ${version}`,
    architectureFor: (capability) => `sm_${capability}`,
    compile: (source, architecture) => run(source, ["-cubin", `-arch=${architecture}`]),
    run,
  };
}

async function run(source: CudaSource, flags: readonly string[]): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), "hirec-nvcc-"));
  try {
    const [path, image] = [join(folder, source.name), join(folder, "image")];
    await writeFile(path, source.text);
    await execute("nvcc", [`-std=${STANDARD}`, ...flags, path, "-o", image]);
    return await readFile(image);
  } catch (thrown) {
    const log = String((thrown as { stderr?: string }).stderr || reasonOf(thrown));
    // What it says of itself has no line: `nvcc fatal : Unsupported gpu architecture`.
    throw /\(\d+\): (catastrophic )?error/.test(log)
      ? new CompileFailure(firstError(source, log))
      : new Error(log.trim(), { cause: thrown });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
