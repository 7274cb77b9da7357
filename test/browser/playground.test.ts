// The playground as a visitor meets it: built, served below a path of a static host, clicked and typed at.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { strFromU8, unzipSync } from "fflate";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { compileText } from "../../compiler/compile-text.ts";
import { violationsOf } from "./axe.ts";
import { servePlayground } from "./built-playground.ts";
import { launchChromium, whyNoChromium } from "./chromium.ts";
import type { StaticSite } from "./static-site.ts";

const why = await whyNoChromium();
const root = fileURLToPath(new URL("../..", import.meta.url));
const example = (name: string) => readFile(join(root, `examples/${name}/${name}.hire.ts`), "utf8");

/** A layer small enough to be compiled at once. */
const SMALL = `import { defineModel, quantized, softmax } from "hirec";

export default defineModel("small", {
  head: softmax({ inputs: 64, rows: 1000, weight: "w", estimator: quantized({ bits: 4 }), k: 8 }),
});
`;

describe.skipIf(why)(`in Chromium${why ? `, skipped: ${why}` : ""}`, () => {
  let browser: Browser;
  let site: StaticSite;
  const visits: Visit[] = [];

  beforeAll(async () => {
    [browser, site] = await Promise.all([launchChromium(), servePlayground("index.html")]);
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
  });
  afterEach(async () => {
    for (const each of visits.splice(0)) {
      expect(each.complaints).toEqual([]);
      expect(each.foreign).toEqual([]);
      await each.page.context().close();
    }
  });

  interface Visit {
    readonly page: Page;
    /** What the page complained about. */
    readonly complaints: string[];
    /** Requests that left the folder it is served from. */
    readonly foreign: string[];
  }

  /** @param prepare runs in the page before its scripts. */
  async function open(hash = "", prepare = () => {}): Promise<Page> {
    const context = await browser.newContext({ reducedMotion: "reduce" });
    await context.addInitScript(prepare);
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    const complaints: string[] = [];
    const foreign: string[] = [];
    visits.push({ page, complaints, foreign });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(site.url) && !/^(data|blob):/.test(url)) foreign.push(url);
    });
    await page.goto(`${site.url}${hash}`);
    // What is typed before the spec of the address is there would be replaced by it.
    await compiles(page);
    return page;
  }

  const says = (page: Page, what: RegExp) =>
    expect.poll(() => page.locator("#status").textContent(), { timeout: 20_000, interval: 50 }).toMatch(what);
  const compiles = (page: Page) => says(page, /^\d+ files in \d+ ms$/);
  const write = async (page: Page, text: string) => {
    // What the page says from now on is of this text.
    await page.locator("#status").evaluate((status) => status.replaceChildren());
    await page.locator("#editor .cm-content").click();
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.insertText(text);
  };
  const inEditor = (page: Page, text: string) => page.locator("#editor .cm-line", { hasText: text });
  /** What a Copy button gives. */
  const copied = async (page: Page, button: string) => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.locator(button).click();
    return page.evaluate(() => navigator.clipboard.readText());
  };

  /** Words of the picture that its frame cuts off. */
  const hangingOver = (page: Page) =>
    page.locator(".pipeline text").evaluateAll((texts) =>
      (texts as SVGTextElement[]).flatMap((text) => {
        const { x, width } = text.getBBox();
        return x < 0 || x + width > text.ownerSVGElement!.viewBox.baseVal.width ? [text.textContent] : [];
      }),
    );

  test("a mistake is marked with its code, place and fix, leads to its page, and goes away with the mistake", async () => {
    const page = await open();
    await write(page, SMALL.replace("k: 8", "k: 8000"));
    expect(await page.evaluate(() => scrollY)).toBe(0);
    await says(page, /^1 problem; what is shown is the last version that compiled$/);
    const problem = page.locator("#problems li");
    expect(await problem.count()).toBe(1);
    expect(await problem.textContent()).toMatch(/HIRE-SPEC-\d{3} .*8000.*Fix: /);
    expect(await page.locator("#editor .cm-lintRange-error").textContent()).toBe("8000");
    expect(await page.locator("#editor .cm-lint-marker-error").count()).toBe(1);

    await page.getByRole("button", { name: "Line 4" }).press("Enter");
    await page.keyboard.press("Control+Shift+m");
    const code = /HIRE-SPEC-\d{3}/.exec((await problem.textContent())!)![0];
    await problem.getByRole("button", { name: code }).click();
    const dialog = page.getByRole("dialog");
    expect(await dialog.locator("h1").textContent()).toContain(code);
    expect(await dialog.locator("h2").allTextContents()).toContain("What to do");
    await page.keyboard.press("Escape");
    expect(await dialog.count()).toBe(0);

    await write(page, SMALL);
    await compiles(page);
    expect(await problem.count()).toBe(0);
    expect(await page.locator("#editor .cm-lintRange-error").count()).toBe(0);
    expect(await page.locator("#layer-tabs button").allTextContents()).toEqual(["head"]);
  });

  test("the editor knows the language: completions with their documentation, types on hovering", async () => {
    const page = await open();
    await write(page, SMALL);
    await compiles(page);
    await inEditor(page, "head: softmax").click();
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.type(", certi");
    const option = page.locator("[role=option][aria-selected=true]", { hasText: "certify" });
    await option.waitFor();
    await page.locator(".cm-completionInfo", { hasText: "no row was missed" }).waitFor();
    await option.click();
    await page.keyboard.type(': "report"');
    await compiles(page);
    await page.locator("#explained", { hasText: "certifies" }).waitFor({ state: "attached" });

    await page
      .locator("#editor .cm-line span", { hasText: /^quantized$/ })
      .last()
      .hover();
    await page.locator(".cm-tooltip-hover .description code", { hasText: "QuantizedOptions" }).waitFor();
  });

  test("an example compiles to the sources of the command line, for every profile", async () => {
    const page = await open();
    await page.getByLabel("Example").selectOption("tiny-lm over 4 shards");
    await expect.poll(() => page.url()).toBe(`${site.url}#tiny-lm-4`);
    await page.locator("#explained", { hasText: "tiny-lm-4, from spec.hire.ts" }).waitFor({ state: "attached" });
    const { files } = await compileText(await example("tiny-lm-4"), { targets: ["wgsl", "cuda"] });
    expect(await copied(page, "#wgsl-copy")).toBe(files.get("webgpu-subgroups/head_shard0.score_select.wgsl"));
    expect(await copied(page, "#cuda-copy")).toBe(files.get("cuda/head_shard0.score_select.cu"));
    await page.locator("#wgsl-profile").selectOption("webgpu-default");
    expect(await hangingOver(page)).toEqual([]);
    await page.getByRole("tab", { name: "mlp0", exact: true }).click();
    expect(await hangingOver(page)).toEqual([]);
    await page.locator("#wgsl-tabs").getByRole("tab", { selected: true }).press("End");
    expect(await copied(page, "#wgsl-copy")).toBe(files.get("webgpu-default/mlp0_shard0.reduce.wgsl"));
  });

  test("each stage of the picture leads to its lines, in both targets", async () => {
    const page = await open("#gemma-2-2b");
    // Written for WebGPU in one kernel with nothing else, for CUDA among others.
    await page.getByRole("link", { name: "rescore lines" }).focus();
    await page.keyboard.press("Enter");
    expect(await page.locator("#wgsl-tabs [aria-selected=true]").textContent()).toBe("head_rescore");
    expect(await page.locator("#cuda-tabs [aria-selected=true]").textContent()).toBe("head_rescore_topk");
    await page.locator("#cuda-panel .stage-line", { hasText: "// Stage: rescore." }).waitFor();
    await page.locator("#wgsl-panel .stage-line", { hasText: "fn head_rescore(" }).waitFor();
    expect(await page.locator("#announcement").textContent()).toContain("rescore");
    const picture = page.locator(".pipeline");
    expect(await picture.getAttribute("aria-label")).toBe("Pipeline of head: 4 kernels");
    expect(await hangingOver(page)).toEqual([]);
    expect(await picture.textContent()).toContain("≈ 1.18 MB");
    expect(await picture.textContent()).toContain("99.05 % of the 256 best, predicted");

    const longer = 'certify: "fallback", mask: true, batch: 16, sample: multinomial({ topP: 0.9 })';
    await write(
      page,
      SMALL.replace("k: 8", `k: 8, ${longer}`)
        .replace("head:", "a_layer_with_a_long_name:")
        .replace("quantized", "multinomial, quantized"),
    );
    await page.getByRole("link", { name: "fallback topk lines" }).waitFor();
    expect(await hangingOver(page)).toEqual([]);
  });

  test("a link holds the spec, and says when it is damaged", async () => {
    const page = await open();
    await write(page, SMALL.replace("head", "tête"));
    await says(page, /problem/);
    await write(page, SMALL.replace('"w"', '"größe"'));
    await compiles(page);
    await expect.poll(() => page.url()).toMatch(/#spec=[\w-]+$/);
    expect(await page.getByLabel("Example").inputValue()).toBe("");
    const link = await copied(page, "#copy-link");
    expect(link).toBe(page.url());
    const hash = link.slice(link.indexOf("#"));

    const other = await open(hash);
    expect(await inEditor(other, "softmax({").textContent()).toContain('weight: "größe"');
    expect(other.url()).toBe(link);

    await other.goto(`${site.url}${hash.slice(0, -9)}`);
    await other.locator("#notice", { hasText: "damaged" }).waitFor();
    expect(await other.getByLabel("Example").inputValue()).toBe("tiny-lm");
  });

  test("the zip holds the spec and what the compiler writes", async () => {
    const page = await open();
    await write(page, SMALL);
    await compiles(page);
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#download").click()]);
    expect(download.suggestedFilename()).toBe("small.zip");
    const entries = unzipSync(await readFile(await download.path()));
    const { files } = await compileText(SMALL, { targets: ["wgsl", "cuda"] });
    const expected = new Map([
      ["spec.hire.ts", SMALL],
      ...[...files].map(([path, text]) => [`small/${path}`, text] as const),
    ]);
    expect(new Map(Object.entries(entries).map(([path, bytes]) => [path, strFromU8(bytes)]))).toEqual(expected);
  });

  test("a spec that never ends is ended, and the next one compiles", async () => {
    const page = await open();
    await write(page, `${SMALL}\nfor (;;) {}\n`);
    await says(page, /^The spec ran for 8 s without coming to an end, so it was ended/);
    await write(page, SMALL);
    await compiles(page);
  });

  test("without WebGPU the page says what works and what does not", async () => {
    const page = await open("", () => Reflect.deleteProperty(Navigator.prototype, "gpu"));
    expect(await page.locator("#no-webgpu").isVisible()).toBe(true);
  });

  test("axe finds nothing and nothing hangs over, in both themes, on phones and desktops", async () => {
    const page = await open("#tiny-lm");
    await write(page, SMALL.replace("k: 8", "k: 8000"));
    await says(page, /problem/);
    // What is mounted behind everything else.
    for (const part of ["#run form", "#live form"]) await page.locator(part).waitFor();
    for (const viewport of [
      { width: 390, height: 844 },
      { width: 1400, height: 900 },
    ]) {
      await page.setViewportSize(viewport);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(viewport.width);
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        expect(await violationsOf(page), `${viewport.width}, ${colorScheme}`).toEqual([]);
      }
    }
    await page.locator("#problems .code-link").click();
    await page.getByRole("dialog").locator("h1").waitFor();
    expect(await violationsOf(page)).toEqual([]);
  });
});
