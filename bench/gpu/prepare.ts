// Writes bench/gpu/prepared, which a GPU machine without Node runs: npm run bench:gpu:prepare

import { execFile } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { packModel, readCompiledFolder } from "hirec/runtime/node";
import { BENCH } from "./layers.ts";
import { writePackage } from "./write-package.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = join(root, "bench/gpu/prepared");

const { layers } = await writePackage(folder, BENCH, await currentCommit());
// What test/gpu/torch_check.py runs, before anything is timed.
const { plan } = await readCompiledFolder(join(root, "generated/tiny-lm"));
await packModel(plan, [join(root, "examples/tiny-lm/model.safetensors")], join(folder, "tiny-lm.pack"));
console.log(`bench/gpu/prepared: ${layers} layers and tiny-lm's pack, ${((await sizeOf(folder)) / 1e6).toFixed(1)} MB`);

/** Of the working tree: with a plus sign where it has changes. */
async function currentCommit(): Promise<string> {
  const git = (...args: string[]) => promisify(execFile)("git", args, { cwd: root });
  const { stdout: commit } = await git("rev-parse", "--short=12", "HEAD");
  const { stdout: changes } = await git("status", "--porcelain");
  return `${commit.trim()}${changes === "" ? "" : "+"}`;
}

async function sizeOf(path: string): Promise<number> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const sizes = entries.filter((entry) => entry.isFile()).map((entry) => stat(join(entry.parentPath, entry.name)));
  return (await Promise.all(sizes)).reduce((sum, { size }) => sum + size, 0);
}
