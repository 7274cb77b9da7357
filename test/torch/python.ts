// Which Python the tests have, and what it has.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** A Python with torch, where that is not the system's: HIREC_PYTHON names it. */
export const PYTHON = process.env.HIREC_PYTHON ?? "python3";

const here = fileURLToPath(new URL(".", import.meta.url));

/** @returns why Python cannot run here with these modules, or nothing. */
export async function whyNoPython(...modules: readonly string[]): Promise<string | undefined> {
  const imports = modules.map((name) => `import ${name}`).join("; ");
  const check = `import sys; assert sys.version_info >= (3, 9), "it is older than 3.9"; ${imports}`;
  return execute(PYTHON, ["-c", check], { env: { ...process.env, PYTHONPATH: "" } }).then(
    () => undefined,
    (thrown: { code?: unknown; stderr?: string }) =>
      thrown.code === "ENOENT" ? `there is no ${PYTHON}` : thrown.stderr!.trim().split("\n").at(-1)!,
  );
}

/** The torch that a script imports: numpy's stand-in of test/torch/fake, or a real one. */
export type Torch = "fake" | "real";

/**
 * Runs a script of this folder.
 * @param libraries the folder of the fake driver and compiler.
 * @returns what it prints.
 * @throws Error with what it prints on standard error.
 */
export async function runPython(
  script: string,
  args: readonly string[],
  { libraries, torch, env = {} }: { libraries?: string; torch: Torch; env?: Readonly<Record<string, string>> },
): Promise<string> {
  const path = [here, ...(torch === "fake" ? [`${here}fake`] : [])].join(":");
  try {
    const { stdout } = await execute(PYTHON, [`${here}${script}`, ...args], {
      env: {
        ...process.env,
        PYTHONPATH: path,
        PYTHONDONTWRITEBYTECODE: "1",
        ...(libraries && { LD_LIBRARY_PATH: libraries }),
        ...env,
      },
      maxBuffer: 1 << 26,
    });
    return stdout;
  } catch (thrown) {
    throw new Error(String((thrown as { stderr?: string }).stderr || thrown));
  }
}
