// The page of playground/dev.html, built and served below a path as any static host would, in a headless Chromium.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { CompiledModel } from "hirec/compiler";
import type { Browser, Page } from "playwright-core";
import { build, preview } from "vite";
import { launchChromium } from "./chromium.ts";

const playground = fileURLToPath(new URL("../../playground/", import.meta.url));

export interface DevSite {
  /** @param prepare what happens to the page before its scripts run. */
  open(prepare?: (page: Page) => Promise<unknown>): Promise<DevPage>;
  close(): Promise<void>;
}

export interface DevPage {
  readonly page: Page;
  /** Scripts that threw, in the page. */
  readonly errors: readonly string[];
  giveCompiled(compiled: CompiledModel): Promise<void>;
}

export async function openDevSite(): Promise<DevSite> {
  const outDir = await mkdtemp(join(tmpdir(), "hirec-dev-page-"));
  const configFile = join(playground, "vite.config.ts");
  await build({
    configFile,
    logLevel: "error",
    build: { outDir, emptyOutDir: true, rollupOptions: { input: join(playground, "dev.html") } },
  });
  const server = await preview({
    ...{ configFile: false, root: playground, base: "/some/path/", logLevel: "error" },
    ...{ build: { outDir }, preview: { port: 0 } },
  });
  const browser: Browser = await launchChromium();
  return {
    open: async (prepare) => {
      const page = await (await browser.newContext()).newPage();
      // On a machine that others use, kernels compile for a minute.
      page.setDefaultTimeout(200_000);
      const errors: string[] = [];
      page.on("pageerror", (error) => errors.push(String(error)));
      await prepare?.(page);
      await page.goto(`${server.resolvedUrls!.local[0]}dev.html`);
      return {
        ...{ page, errors },
        giveCompiled: ({ plan, files }) =>
          page.evaluate(
            (compiled) =>
              (globalThis as unknown as { giveCompiled(given: typeof compiled): void }).giveCompiled(compiled),
            { plan, files: [...files] },
          ),
      };
    },
    close: async () => {
      await browser.close();
      await server.close();
      await rm(outDir, { recursive: true });
    },
  };
}
