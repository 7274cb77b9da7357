// How long a page takes to load tiny-lm: the first time, and again from what it has kept. In headless Chromium on the
// software adapter, from a server on the same machine, so that the network costs nothing.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCompiledFolder } from "../runtime/node/compiled-folder.ts";
import { packModel } from "../runtime/node/pack-file.ts";
import { launchChromium } from "../test/browser/chromium.ts";
import { openPage } from "../test/browser/open-page.ts";
import { openSite } from "../test/browser/site.ts";

const RUNS = 5;
const FOLDER = "/models/tiny-lm";

const { plan, sources } = await readCompiledFolder("generated/tiny-lm");
const directory = await mkdtemp(join(tmpdir(), "hirec-browser-load-"));
const { digest, bytes } = await packModel(plan, ["examples/tiny-lm/model.safetensors"], join(directory, "pack"));
const [browser, site] = [await launchChromium(), await openSite()];
site.files.set(`${FOLDER}/plan.json`, JSON.stringify(plan));
site.files.set(`${FOLDER}/case.pack`, await readFile(join(directory, "pack")));
for (const [file, text] of Object.entries(sources)) site.files.set(`${FOLDER}/${file}`, text);

const files = { folder: FOLDER, digest, x: Array.from({ length: 256 }, (_, i) => Math.sin(i)) };
const milliseconds: Record<string, number[]> = {};
const note = (what: string, value: number) => {
  milliseconds[what] ??= [];
  milliseconds[what].push(value);
};
for (let run = 0; run < RUNS; run++) {
  const visit = await openPage(browser, site);
  for (const state of ["cold", "warm"] as const) {
    const { read, loaded, first } = await visit.run("time", files, state === "cold");
    note(`${state}: pack read and checked`, read);
    note(`${state}: layers loaded, pipelines compiled`, loaded);
    note(`${state}: first result`, first);
  }
  await visit.close();
}
await browser.close();
await site.close();
await rm(directory, { recursive: true });

console.info(
  `tiny-lm: ${(bytes / 1e6).toFixed(1)} MB of weights, ${Object.keys(plan.layers).length} layers; medians of ${RUNS}`,
);
for (const [what, values] of Object.entries(milliseconds)) {
  const median = values.sort((a, b) => a - b)[Math.floor(RUNS / 2)]!;
  console.info(`${what.padEnd(48)} ${Math.round(median)} ms`);
}
process.exit(0);
