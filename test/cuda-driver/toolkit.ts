// A folder for the PATH in which nvcc compiles for the CPU, and writes down how it was called.

import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildCard } from "../cuda-host/build.ts";

export interface Toolkit {
  /** The folder of the program. */
  readonly bin: string;
  /** The arguments of every compilation so far. */
  calls(): Promise<string[]>;
}

/** @param folder of the test's own. */
export async function makeToolkit(folder: string): Promise<Toolkit> {
  const { nvcc } = await buildCard();
  const bin = join(folder, "bin");
  const log = join(folder, "calls");
  await mkdir(bin);
  await writeFile(join(bin, "nvcc"), `#!/bin/sh\necho "$@" >> '${log}'\nexec '${nvcc}' "$@"\n`);
  await chmod(join(bin, "nvcc"), 0o755);
  const calls = async () => {
    const lines = (await readFile(log, "utf8").catch(() => "")).split("\n");
    return lines.filter((line) => line.includes(" -o "));
  };
  return { bin, calls };
}
