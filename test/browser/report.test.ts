// A report in a real browser, on a phone and on a desk, light and dark.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { calibrationReport } from "../../compiler/report/calibration.ts";
import { calibrationInput } from "../unit/report-input.ts";
import { violationsOf } from "./axe.ts";
import { launchChromium, whyNoChromium } from "./chromium.ts";

const why = await whyNoChromium();

describe.skipIf(why)(`a report in Chromium${why ? `, skipped: ${why}` : ""}`, () => {
  let browser: Browser;
  let folder: string;
  beforeAll(async () => {
    [browser, folder] = await Promise.all([launchChromium(), mkdtemp(join(tmpdir(), "hirec-report-"))]);
    const input = await calibrationInput({ certify: "report" });
    const long = `a-layer-with-a-name-${"that-is-very-long-".repeat(6)}indeed`;
    const [layer] = input.result.layers as [(typeof input.result.layers)[number]];
    const again = { ...layer, layer: long };
    const html = await calibrationReport({
      ...{ ...input, plan: renamed(input.plan, long) },
      result: { ...input.result, layers: [layer, again] },
      diff: `--- a\n+++ a\n+${"long ".repeat(60)}\n`,
    });
    await writeFile(join(folder, "report.html"), html);
  });
  afterAll(async () => {
    await browser?.close();
    if (folder) await rm(folder, { recursive: true });
  });

  function renamed(plan: Awaited<ReturnType<typeof calibrationInput>>["plan"], name: string): typeof plan {
    const programs = plan.programs.map((each) => ({ ...each, layers: { ...each.layers, [name]: each.layers.head! } }));
    return { ...plan, layers: { ...plan.layers, [name]: plan.layers.head! }, programs };
  }

  const screens = [390, 1280].flatMap((width) => (["light", "dark"] as const).map((theme) => [width, theme] as const));

  test.each(screens)("at %i pixels, %s: fits, is drawn, asks for nothing, and is accessible", async (width, theme) => {
    const context = await browser.newContext({ viewport: { width, height: 844 }, colorScheme: theme });
    try {
      const page = await context.newPage();
      const complaints: string[] = [];
      const requests: string[] = [];
      page.on("console", (message) => complaints.push(message.text()));
      page.on("pageerror", (error) => complaints.push(error.message));
      page.on("request", (request) => requests.push(request.url()));
      const url = pathToFileURL(join(folder, "report.html")).href;
      await page.goto(url);
      const seen = await page.evaluate(() => ({
        overflow: document.documentElement.scrollWidth - innerWidth,
        ground: getComputedStyle(document.body).backgroundColor,
        pictures: [...document.querySelectorAll("figure svg[role=img]")]
          .map((svg) => ({ shown: svg.checkVisibility(), box: svg.getBoundingClientRect() }))
          .filter(({ shown }) => shown)
          .map(({ box }) => [Math.round(box.width), Math.round(box.height)]),
        smallestText: Math.min(
          ...[...document.querySelectorAll<SVGTextElement>("figure svg[role=img] text")]
            .filter((text) => text.checkVisibility())
            .map(
              (text) =>
                Number.parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM()!.a || Number.POSITIVE_INFINITY,
            ),
        ),
      }));
      expect(seen.overflow).toBe(0);
      expect(seen.ground).toBe(theme === "dark" ? "rgb(13, 17, 23)" : "rgb(255, 255, 255)");
      // Of the two widths of a picture, one is shown.
      expect(seen.pictures).toHaveLength(1 + 2 * 7);
      for (const [wide, high] of seen.pictures)
        expect([wide! > 250, wide! < width, high! > 20]).toEqual([true, true, true]);
      expect(seen.smallestText).toBeGreaterThan(9);
      // An audit takes seconds; each width and each theme has one.
      if ((width === 390) === (theme === "light")) expect(await violationsOf(page)).toEqual([]);
      expect([complaints, requests]).toEqual([[], [url]]);
    } finally {
      await context.close();
    }
  });
});
