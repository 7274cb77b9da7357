// MPI launchers of this machine, and jobs of rank.ts under them.

import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { RankReport, Scenario } from "./rank.ts";

export interface Launcher {
  readonly name: string;
  /** What comes before the program. */
  command(size: number): readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Why it cannot be used here. */
  readonly missing: string | undefined;
}

/** Root, and more ranks than cores, are refused without these. */
const OPEN_MPI = {
  OMPI_ALLOW_RUN_AS_ROOT: "1",
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
  OMPI_MCA_rmaps_base_oversubscribe: "1",
};

export const openMpi = launcher("Open MPI", ["mpirun", "mpirun.openmpi"], /Open MPI/, OPEN_MPI);
export const mpich = launcher("MPICH", ["mpiexec.hydra", "mpiexec.mpich"], /HYDRA/, {});
/** A process that nothing launches. */
export const alone: Launcher = { name: "none", command: () => [], environment: {}, missing: openMpi.missing };

function launcher(
  name: string,
  names: readonly string[],
  version: RegExp,
  environment: Launcher["environment"],
): Launcher {
  const found = names.find((each) => version.test(versionOf(each)));
  return {
    name,
    command: (size) => [found!, "-n", String(size)],
    environment,
    missing: found ? undefined : `there is no ${names.join(" or ")} of ${name}`,
  };
}

function versionOf(command: string): string {
  try {
    return execFileSync(command, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return "";
  }
}

export interface Job {
  /** Rank by rank. */
  readonly reports: readonly RankReport[];
  /** -1 for a job that had to be ended because it hung. */
  readonly exitCode: number;
  /** All that ranks and launcher printed. */
  readonly output: string;
}

export interface Program {
  /** @param flags go before those that the launcher is given here. */
  run(
    launcher: Launcher,
    size: number,
    scenario: Scenario,
    more?: { readonly flags?: readonly string[]; readonly environment?: Readonly<Record<string, string>> },
  ): Promise<Job>;
  remove(): Promise<void>;
}

/** A job that takes longer hangs. */
const LIMIT_MILLISECONDS = 45_000;

/** Bundles rank.ts, which starts in a fifth of the time that a loader of TypeScript takes. */
export async function buildProgram(): Promise<Program> {
  const folder = await mkdtemp(join(tmpdir(), "hirec-mpi-"));
  const file = join(folder, "rank.mjs");
  const koffi = createRequire(import.meta.url).resolve("koffi");
  await build({
    entryPoints: [fileURLToPath(new URL("rank.ts", import.meta.url))],
    outfile: file,
    bundle: true,
    format: "esm",
    platform: "node",
    alias: { koffi },
    external: [koffi],
    logLevel: "error",
  });
  return {
    run: async (launcher, size, scenario, { flags = [], environment = {} } = {}) => {
      const reports = await mkdtemp(join(folder, "job-"));
      const [command, ...rest] = [...launcher.command(size), process.execPath, file, scenario, reports];
      const outcome = await new Promise<Omit<Job, "reports">>((resolve) => {
        execFile(
          command!,
          [...flags, ...rest],
          {
            // Where launchers keep their files: two of one machine remove each other's.
            env: { ...process.env, TMPDIR: reports, ...launcher.environment, ...environment },
            timeout: LIMIT_MILLISECONDS,
          },
          (error, stdout, stderr) => {
            const code = error ? Number(error.killed ? -1 : (error.code ?? -1)) : 0;
            resolve({ exitCode: code, output: stdout + stderr });
          },
        );
      });
      const texts = Array.from({ length: size }, (_, rank) => readFile(join(reports, `${rank}.json`), "utf8"));
      return { ...outcome, reports: (await Promise.all(texts)).map((text) => JSON.parse(text)) };
    },
    remove: () => rm(folder, { recursive: true }),
  };
}
