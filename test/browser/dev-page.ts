// The page of playground/dev.html, in a headless Chromium.

import type { CompiledModel } from "hirec/compiler";
import type { Page } from "playwright-core";
import { servePlayground } from "./built-playground.ts";
import { launchChromium } from "./chromium.ts";

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
  const [browser, site] = await Promise.all([launchChromium(), servePlayground("dev.html")]);
  return {
    open: async (prepare) => {
      const page = await (await browser.newContext()).newPage();
      // On a machine that others use, kernels compile for a minute.
      page.setDefaultTimeout(200_000);
      const errors: string[] = [];
      page.on("pageerror", (error) => errors.push(String(error)));
      await prepare?.(page);
      await page.goto(`${site.url}dev.html`);
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
      await site.close();
    },
  };
}
