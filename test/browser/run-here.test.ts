// Layers run in the page: packed, measured beside their dense twins, and compared with exact scores.

import { type Dense, defineModel, ffn, type Quantized, quantized, softmax, twoStage } from "hirec";
import { compile, compileModel } from "hirec/compiler";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { violationsOf } from "./axe.ts";
import { whyNoChromium } from "./chromium.ts";
import { type DevPage, type DevSite, openDevSite } from "./dev-page.ts";

const reason = await whyNoChromium();

const head = (rows: number, inputs: number, estimator: Quantized | Dense = quantized({ bits: 8 })) =>
  softmax({ inputs, rows, weight: "w", estimator, k: 8, candidates: 32, select: twoStage({ recall: 0.6 }), batch: 4 });

const small = compileModel(
  defineModel("small", {
    head: head(2048, 64),
    mlp: ffn({
      ...{ inputs: 64, hidden: 256, weights: { gate: "g", up: "u", down: "d" }, activation: (z) => Math.max(z, 0) },
      ...{ estimator: quantized({ bits: 8 }), group: { size: 8 }, k: 8, candidates: 12 },
    }),
  }),
);

async function runLayer(page: Page, layer: string, tokens: number): Promise<void> {
  await page.selectOption("#run [name=layer]", layer);
  await page.fill("#run [name=tokens]", String(tokens));
  await page.click("#run button[type=submit]");
  await page.waitForSelector("#run .actions button[type=submit]:visible");
}

/** The cells of the row whose first cell begins so. */
async function cells(page: Page, first: string): Promise<string[]> {
  return page
    .locator("#run tr", { has: page.locator(`th:text("${first}")`) })
    .locator("td")
    .allInnerTexts();
}

const share = (text: string | undefined) => Number.parseFloat(text!) / 100;

describe.skipIf(reason !== undefined)(`run here${reason ? ` (${reason})` : ""}`, () => {
  let site: DevSite;
  let opened: DevPage;
  beforeAll(async () => {
    site = await openDevSite();
    opened = await site.open();
    await opened.giveCompiled(small);
  });
  afterAll(() => site?.close());

  test("a head's recall lies by its prediction, and its results are those of the reference", async () => {
    const { page, errors } = opened;
    await runLayer(page, "head", 128);
    expect(await page.textContent("#run .status")).toBe("Done.");
    const [predicted, measured] = (await cells(page, "best 8 estimates that survive")).map(share) as [number, number];
    expect(predicted).toBeCloseTo(small.plan.layers.head!.selection.recallOfK, 3);
    expect(predicted).toBeLessThan(0.97);
    // Of so many tokens 8 rows are lost or not: four standard deviations. The reference measures the first 64 only.
    const tolerance = (tokens: number) => 4 * Math.sqrt((predicted * (1 - predicted)) / (tokens * 8));
    expect(Math.abs(measured - predicted)).toBeLessThan(tolerance(64));
    const [, recall] = (await cells(page, "recall@8")).map(share);
    expect(Math.abs(recall! - predicted)).toBeLessThan(tolerance(128));
    expect(Number((await cells(page, "largest error of a score"))[1])).toBeLessThan(1e-5);
    expect(await cells(page, "results against the float64 reference")).toEqual(["equal", "equal"]);
    expect(await page.textContent("#run .warning")).toContain("Software adapter");
    expect((await cells(page, "weights read"))[1]).toBe("262 KB");
    expect((await cells(page, "time"))[0]).toMatch(/^[\d.]+\s(µs|ms) ±\s[\d.]+\s(µs|ms)$/);
    expect(await violationsOf(page)).toEqual([]);
    expect(errors).toEqual([]);
  });

  test("a feed-forward returns what the reference does, and so little error as its groups allow", async () => {
    const { page, errors } = opened;
    await runLayer(page, "mlp", 16);
    expect(await cells(page, "results against the float64 reference")).toEqual(["equal", "equal"]);
    expect(share((await cells(page, "recall@8"))[1])).toBeGreaterThan(0.95);
    expect(errors).toEqual([]);
  });

  test("figures say when the spec has changed since", async () => {
    await opened.giveCompiled(small);
    expect(await opened.page.textContent("#run .status")).toContain("The spec has changed since");
  });

  test("tiny-lm's own weights are offered where the layer is tiny-lm's, and a file that cannot be fetched is named", async () => {
    const { page, giveCompiled } = await site.open();
    const options = () =>
      page
        .locator("#run [name=weights] option")
        .evaluateAll((all) => all.map((each) => (each as HTMLOptionElement).value));
    await giveCompiled(small);
    expect(await options()).toEqual(["random"]);
    await giveCompiled(await compile("examples/tiny-lm/tiny-lm.hire.ts"));
    expect(await options()).toEqual(["tiny-lm", "random"]);
    await page.context().route("**/*.safetensors", (route) => route.abort());
    await runLayer(page, "mlp1", 16);
    expect(await page.textContent("#run .problem")).toMatch(/HIRE-RUN-026 model.safetensors cannot be fetched/);
    await page.context().close();
  });

  test("a layer that is too large is refused with the rows that would do, and a layer over shards with its code", async () => {
    const { page, giveCompiled } = opened;
    const sharded = softmax({ inputs: 64, rows: 512, weight: "w", estimator: quantized({ bits: 8 }), k: 8, shards: 2 });
    await giveCompiled(compileModel(defineModel("large", { head: head(256_000, 2304, quantized({ bits: 4 })) })));
    await runLayer(page, "head", 1);
    expect(await page.textContent("#run .problem")).toMatch(
      /HIRE-RUN-025.*1180 MB.*at most 640 MB.*rows in the spec to 138240/,
    );
    await giveCompiled(compileModel(defineModel("spread", { spread: sharded })));
    await runLayer(page, "spread", 1);
    expect(await page.textContent("#run .problem")).toContain("HIRE-RUN-020");
  });

  test("a run can be cancelled, and another one started", async () => {
    const { page, giveCompiled } = opened;
    await giveCompiled(compileModel(defineModel("slow", { head: head(32_768, 1024) })));
    await page.fill("#run [name=tokens]", "64");
    await page.click("#run button[type=submit]");
    await page.click("#run button:text('Cancel')");
    expect(await page.textContent("#run .status")).toBe("Cancelled.");
    expect(await page.evaluate(() => document.activeElement!.textContent)).toBe("Run");
    await giveCompiled(small);
    await runLayer(page, "mlp", 4);
    expect(await page.textContent("#run .status")).toBe("Done.");
  });

  test("without WebGPU the page says so, and offers nothing that does not work", async () => {
    const { page, errors } = await site.open((page) =>
      page.addInitScript(() => {
        delete (Navigator.prototype as { gpu?: GPU }).gpu;
      }),
    );
    for (const section of ["#run", "#live"]) {
      expect(await page.textContent(section)).toContain("This browser offers no WebGPU here");
      expect(await page.locator(section).locator("button, select, input").count()).toBe(0);
    }
    expect(errors).toEqual([]);
    await page.context().close();
  });
});
