// The package as `npm pack` makes it, installed in an empty project with exactly the dependencies that it declares.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rename, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const root = fileURLToPath(new URL("../..", import.meta.url));

const run = promisify(execFile);

export interface InstalledPackage {
  /** The project that the package is installed in. */
  readonly project: string;
  /** The installed package. */
  readonly folder: string;
  /** Bytes of the tarball, and of its files. */
  readonly packedBytes: number;
  readonly unpackedBytes: number;
  readonly files: readonly string[];
  remove(): Promise<void>;
}

/** No registry is asked: declared dependencies are linked from this checkout, and undeclared ones are absent. */
export async function installPackage(): Promise<InstalledPackage> {
  const project = await mkdtemp(join(tmpdir(), "hirec-package-"));
  const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project], {
    cwd: root,
  });
  const [packed] = Object.values(JSON.parse(stdout)) as [NpmPack];
  await run("tar", ["xf", join(project, packed.filename), "-C", project]);
  const folder = join(project, "node_modules", "hirec");
  await mkdir(join(project, "node_modules"), { recursive: true });
  await rename(join(project, "package"), folder);
  const manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as Manifest;
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })) {
    const link = join(project, "node_modules", name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(root, "node_modules", name), link);
  }
  return {
    project,
    folder,
    packedBytes: packed.size,
    unpackedBytes: packed.unpackedSize,
    files: packed.files.map(({ path }) => path),
    remove: () => rm(project, { recursive: true }),
  };
}

interface NpmPack {
  readonly filename: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, whatever its exit code. */
export async function runProgram(
  program: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Outcome> {
  try {
    const { stdout, stderr } = await run(program, args, { cwd, env, maxBuffer: 2 ** 26 });
    return { code: 0, stdout, stderr };
  } catch (thrown) {
    const { code, stdout, stderr } = thrown as Outcome;
    return { code, stdout, stderr };
  }
}
