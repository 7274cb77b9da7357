// Each half of the method alone, both, and what others do, on the same inputs: tiny-lm's, and those of layers of larger shapes.
// Writes bench/results/ablations-*.json, the tables of docs/ablations.md and its plots.
// Usage: npm run bench:ablations [-- tiny-lm|500m|2b|8b|whole-model|page ...] [--all-rows]
// Without names all of them; `page` alone draws from what is there. Of larger layers a sample of the rows is taken, but for --all-rows.

import { readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { requestProduct } from "../runtime/node/onnx-product.ts";
import { MODELS, type ModelName, studyOf } from "./ablations/models.ts";
import { plots } from "./ablations/plots.ts";
import { type Results, readResults } from "./ablations/results.ts";
import { withTables } from "./ablations/tables.ts";
import { linesOf } from "./json.ts";

const path = (relative: string) => new URL(`../${relative}`, import.meta.url);
const packageJson: { readonly version: string } = JSON.parse(await readFile(path("package.json"), "utf8"));
const ALL_ROWS = "--all-rows";
const names = process.argv.slice(2).filter((name) => name !== ALL_ROWS);
const allRows = process.argv.includes(ALL_ROWS);
const unknown = names.filter((name) => name !== "page" && !MODELS.some((model) => model === name));
if (unknown.length > 0) {
  console.error(`There is no "${unknown.join('", "')}": name some of ${MODELS.join(", ")}, page, or ${ALL_ROWS}`);
  process.exit(1);
}
const product = await requestProduct();
for (const model of MODELS.filter((model) => names.length === 0 || names.includes(model))) await measure(model);
await writePage();

async function measure(model: ModelName): Promise<void> {
  const begun = performance.now();
  const seconds = () => Math.round((performance.now() - begun) / 1000);
  const log = (line: string) => console.error(`${String(seconds()).padStart(5)} s  ${model} ${line}`);
  const study = await studyOf(model, product, allRows, log);
  const results: Results = {
    date: new Date().toISOString().slice(0, 10),
    command: `npm run bench:ablations -- ${model}${allRows ? ` ${ALL_ROWS}` : ""}`,
    machine: `${cpus().length} × ${cpus()[0]?.model ?? "unknown processor"}`,
    versions: { hirec: packageJson.version, node: process.versions.node, products: product.name },
    seconds: seconds(),
    peakBytes: process.resourceUsage().maxRSS * 1024,
    ...study,
  };
  const file = `bench/results/ablations-${model}.json`;
  await writeFile(path(file), `${linesOf(results, 4)}\n`);
  console.log(`${file} is written`);
}

async function writePage(): Promise<void> {
  const all = await Promise.all(MODELS.map(readResults));
  const document = path("docs/ablations.md");
  await writeFile(document, withTables(await readFile(document, "utf8"), all));
  for (const [name, svg] of Object.entries(await plots(all))) await writeFile(path(`docs/images/${name}`), svg);
  console.log("docs/ablations.md and docs/images/ablations-*.svg are written");
}
