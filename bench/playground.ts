// What the playground weighs, and how long it takes: from opening it to the first kernels, and from a key to the kernels of
// what was typed, without the pause that it waits for another key. Prints medians. Run with: npm run bench:playground

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { launchChromium } from "../test/browser/chromium.ts";
import { serveFolder } from "../test/browser/static-site.ts";

const VISITS = 5;
const KEYS = 20;
const EXAMPLES = ["tiny-lm", "gemma-2-2b"];

const folder = fileURLToPath(new URL("../dist-playground", import.meta.url));
const assets = join(folder, "assets");
for (const file of (await readdir(assets)).sort()) {
  const bytes = await readFile(join(assets, file));
  console.log(`${file}: ${kilobytes(bytes.length)}, ${kilobytes(gzipSync(bytes).length)} gzipped`);
}

const site = await serveFolder(folder, "/");
const browser = await launchChromium();
for (const example of EXAMPLES) {
  const opened: number[] = [];
  const typed: number[] = [];
  for (let visit = 0; visit < VISITS; visit++) {
    const page = await browser.newPage();
    await page.goto(`${site.url}#${example}`);
    await compileTime(page);
    opened.push(await page.evaluate(() => performance.now()));
    if (visit === 0) typed.push(...(await typeKeys(page)));
    await page.close();
  }
  console.log(
    `${example}: first kernels after ${median(opened)} ms, after a key ${median(typed)} ms (slowest ${Math.max(...typed)})`,
  );
}
await browser.close();
await site.close();

/** Types a comment, key by key. @returns milliseconds of each compile. */
async function typeKeys(page: Page): Promise<number[]> {
  const times: number[] = [];
  await page.locator("#editor .cm-content").click();
  await page.keyboard.press("ControlOrMeta+End");
  await page.keyboard.type("// ");
  for (let key = 0; key < KEYS; key++) {
    await page.locator("#status").evaluate((status) => {
      status.textContent = "";
    });
    await page.keyboard.type("a");
    times.push(await compileTime(page));
  }
  return times;
}

/** Waits for the page to say it. */
async function compileTime(page: Page): Promise<number> {
  const said = await page.waitForFunction(
    () => /files in (\d+) ms/.exec(document.querySelector("#status")!.textContent!)?.[1],
  );
  return Number(await said.jsonValue());
}

function median(times: readonly number[]): number {
  return Math.round(times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]!);
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(1)} KB`;
}
