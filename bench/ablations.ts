// Each half of the method alone, both, and what others do, on the same inputs: tiny-lm's, and those of layers of larger shapes.
// Writes bench/results/ablations-*.json, the tables of docs/ablations.md and its plots.
// Usage: npm run bench:ablations [-- tiny-lm|500m|2b|8b|page ...]; without names all of them. `page` alone draws from what is there.

import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { MODELS, type ModelName, studyOf } from "./ablations/models.ts";
import type { Results } from "./ablations/results.ts";
import { linesOf } from "./json.ts";

const path = (relative: string) => new URL(`../${relative}`, import.meta.url);
const names = process.argv.slice(2);
const unknown = names.filter((name) => name !== "page" && !MODELS.some((model) => model === name));
if (unknown.length > 0) {
  console.error(`There is no "${unknown.join('", "')}": name some of ${MODELS.join(", ")}, or page`);
  process.exit(1);
}
for (const model of MODELS.filter((model) => names.length === 0 || names.includes(model))) await measure(model);

async function measure(model: ModelName): Promise<void> {
  const begun = performance.now();
  const seconds = () => Math.round((performance.now() - begun) / 1000);
  const study = await studyOf(model, (line) => console.error(`${String(seconds()).padStart(5)} s  ${line}`));
  const results: Results = {
    date: new Date().toISOString().slice(0, 10),
    command: `npm run bench:ablations -- ${model}`,
    machine: `${cpus().length} × ${cpus()[0]?.model ?? "unknown processor"}`,
    versions: { node: process.versions.node, products: study.engine },
    seconds: seconds(),
    peakBytes: process.resourceUsage().maxRSS * 1024,
    ...study,
  };
  const file = `bench/results/ablations-${model}.json`;
  await writeFile(path(file), `${linesOf(results, 4)}\n`);
  console.log(`${file} is written`);
}
