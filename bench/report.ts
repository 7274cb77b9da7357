// Makes a page and plots from results of the bench on a GPU: npm run bench:report -- bench/results/*.json
// They become docs/benchmark-results.md and docs/images/bench-*.svg, or lie below the folder of --out. Results of a dry run are
// refused, unless --dry-run asks for them.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { page } from "./report/page.ts";
import { plots } from "./report/plots.ts";
import { readResults } from "./report/results.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { out: { type: "string" }, "dry-run": { type: "boolean", default: false } },
});
if (positionals.length === 0) fail("usage: npm run bench:report -- RESULTS... [--out FOLDER] [--dry-run]", 2);
const results = await Promise.all(positionals.map(readResults)).catch((error: Error) => fail(error.message, 1));
const dry = positionals.filter((_, i) => results[i]!.dryRun);
if (dry.length > 0 && !values["dry-run"]) fail(`${dry.join(" and ")} is of a dry run, whose numbers mean nothing`, 1);

const out = values.out ?? fileURLToPath(new URL("../docs", import.meta.url));
await mkdir(join(out, "images"), { recursive: true });
const images = [];
for (const each of results) {
  const drawn = [...(await plots(each))].map(([name, text]) => [`images/bench-${name}`, text] as const);
  for (const [path, text] of drawn) await writeFile(join(out, path), text);
  images.push(drawn.map(([path]) => `![${each.machine.gpu}](${path})`).join("\n"));
}
await writeFile(join(out, "benchmark-results.md"), page(results, images));
console.log(`${join(out, "benchmark-results.md")}: ${results.map(({ rows }) => rows.length).join(" and ")} rows`);

function fail(message: string, code: number): never {
  console.error(message);
  process.exit(code);
}
