// The page of page.ts, as the tests call it.

import type { Browser, Page } from "playwright-core";
import type { Jobs } from "./page.ts";
import type { Site } from "./site.ts";

type Result<Name extends keyof Jobs> = Awaited<ReturnType<Jobs[Name]>>;

export interface TestPage {
  readonly page: Page;
  /** Runs a job in the page, or in a worker of it. */
  run<Name extends keyof Jobs>(name: Name, ...given: Parameters<Jobs[Name]>): Promise<Result<Name>>;
  runInWorker<Name extends keyof Jobs>(name: Name, ...given: Parameters<Jobs[Name]>): Promise<Result<Name>>;
  /** Directives of the policy that the page broke, and what it complained about. */
  complaints(): Promise<string[]>;
  close(): Promise<void>;
}

/** A visitor's first visit: with empty caches. */
export async function openPage(browser: Browser, site: Site): Promise<TestPage> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(site.url);
  await page.waitForFunction(() => "inPage" in globalThis);
  const call = (where: "page" | "worker", name: string, given: unknown[]) =>
    page.evaluate(
      ([where, name, given]) => {
        const { inPage, inWorker } = globalThis as unknown as Record<string, (...call: unknown[]) => Promise<unknown>>;
        return (where === "page" ? inPage! : inWorker!)(name, given);
      },
      [where, name, given] as const,
    ) as Promise<never>;
  return {
    page,
    run: (name, ...given) => call("page", name, given),
    runInWorker: (name, ...given) => call("worker", name, given),
    complaints: async () => [...((await page.evaluate("globalThis.violations")) as string[]), ...errors],
    close: () => context.close(),
  };
}
