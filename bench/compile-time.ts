// How long compiling takes: cold, as a whole process of the command line, and warm, as a rebuild in one process after the
// spec has changed; and how much source comes of it. Prints medians. Run with: npm run bench:compile

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { compile } from "hirec/compiler";

const RUNS = 11;

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "hirec-bench-"));
const spec = join(folder, "tiny-lm.hire.ts");
const text = await readFile(join(root, "examples/tiny-lm/tiny-lm.hire.ts"), "utf8");

const cold = await median(async (run) => {
  await writeFile(spec, text.replace("k: 32", `k: ${16 + run}`));
  await promisify(execFile)(process.execPath, [
    join(root, "dist/compiler/cli/main.js"),
    "compile",
    spec,
    "--out",
    folder,
  ]);
});
await compile(spec);
const warm = await median(async (run) => {
  await writeFile(spec, text.replace("k: 32", `k: ${64 + run}`));
  await compile(spec);
});
const large = join(root, "bench/thirty-two-layers.hire.ts");
const coldLarge = await median(async (run) => {
  await promisify(execFile)(process.execPath, [
    join(root, "dist/compiler/cli/main.js"),
    "compile",
    large,
    "--out",
    join(folder, String(run)),
  ]);
});
await rm(folder, { recursive: true });
console.log(`${cpus()[0]?.model ?? "unknown processor"}, Node ${process.versions.node}, medians of ${RUNS}`);
console.log(`cold  hirec compile as a process     ${cold.toFixed(0)} ms`);
console.log(`warm  a rebuild in one process       ${warm.toFixed(0)} ms`);
console.log(`cold  a head and 32 feed-forwards       ${coldLarge.toFixed(0)} ms`);
const row = (cells: readonly string[]) =>
  cells.map((cell, i) => (i === 0 ? cell.padEnd(24) : cell.padStart(22))).join("");
console.log(`\n${row(["generated, both targets", "source files", "their size", "kernels of a profile"])}`);
for (const each of ["examples/tiny-lm/tiny-lm.hire.ts", "bench/thirty-two-layers.hire.ts"]) {
  const { plan, files } = await compile(join(root, each), { targets: ["wgsl", "cuda"] });
  const sources = [...files].filter(([path]) => /\.(wgsl|cu)$/.test(path));
  const bytes = sources.reduce((sum, [, source]) => sum + Buffer.byteLength(source), 0);
  const kernels = Object.values(plan.programs[0]!.layers).reduce((sum, layer) => sum + layer.kernels.length, 0);
  console.log(row([plan.model, String(sources.length), `${(bytes / 1000).toFixed(0)} KB`, String(kernels)]));
}
process.exit(0);

async function median(work: (run: number) => Promise<void>): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const begun = performance.now();
    await work(run);
    times.push(performance.now() - begun);
  }
  return times.sort((a, b) => a - b)[Math.floor(RUNS / 2)]!;
}
