// tiny-lm decodes in the page as it does in Node, and the page says what it does.

import { fileURLToPath } from "node:url";
import { compile } from "hirec/compiler";
import { createReferenceFfn, createReferenceSoftmax, type FfnPlan, type SoftmaxPlan } from "hirec/runtime";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createDecoder } from "../../examples/tiny-lm/decoder.ts";
import { exactHead, generate, type Head } from "../../examples/tiny-lm/generate.ts";
import { loadTokenizer, loadWeights } from "../../examples/tiny-lm/load.ts";
import { openSafetensors } from "../../runtime/node/safetensors-file.ts";
import { packWeights, weightTensors } from "../../runtime/pack/weight-tensors.ts";
import { violationsOf } from "./axe.ts";
import { whyNoChromium } from "./chromium.ts";
import { type DevSite, openDevSite } from "./dev-page.ts";

const reason = await whyNoChromium();
const FOLDER = fileURLToPath(new URL("../../examples/tiny-lm/", import.meta.url));
const PROMPT = "And it";
/** Where others keep the machine busy, kernels compile for a minute. */
const MINUTES = 4 * 60_000;
const TOKENS = 16;

/** Through the layers of the spec in float64, and through exact ones. */
async function continuationsInNode() {
  const { plan } = await compile(`${FOLDER}tiny-lm.hire.ts`);
  const weights = await loadWeights(FOLDER);
  const tokenizer = await loadTokenizer(FOLDER);
  const file = await openSafetensors(`${FOLDER}model.safetensors`);
  const pack = async (name: string) => {
    const layer = plan.layers[name]!;
    const tensors = await Promise.all(
      weightTensors(layer).map(async ({ role, name }) => [role, await file.read(file.tensors.get(name)!)] as const),
    );
    const packed = packWeights(layer, Object.fromEntries(tensors));
    return { layer, source: ({ name }: { name: string }) => packed.find((tensor) => tensor.name === name)!.data };
  };
  const mlps = await Promise.all(
    weights.layers.map(async (_, i) => {
      const { layer, source } = await pack(`mlp${i}`);
      return createReferenceFfn(`mlp${i}`, layer as FfnPlan, source);
    }),
  );
  const { layer, source } = await pack("head");
  await file.close();
  const head = await createReferenceSoftmax("head", layer as SoftmaxPlan, source);
  const hire = createDecoder(weights, async (i, x) => Float32Array.from((await mlps[i]!.run(x)).output));
  const exact = createDecoder(weights);
  const continuation = async (decoder: typeof exact, choose: Head) => {
    const tokens: number[] = [];
    for await (const token of generate(decoder, choose, tokenizer.encode(PROMPT))) {
      if (tokens.push(token) === TOKENS) break;
    }
    return PROMPT + tokenizer.decode(tokens);
  };
  return {
    hire: await continuation(hire, async (x) => (await head.run(x)).indices[0]!),
    exact: await continuation(exact, exactHead(exact.embedding)),
  };
}

const text = (page: Page, column: "hire" | "exact") => page.innerText(`#live [aria-labelledby=live-${column}]`);
const isIdle = (page: Page) =>
  page.waitForFunction(() => document.querySelector("#live [type=submit]")!.textContent !== "Stop");

describe.skipIf(reason !== undefined)(`tiny-lm, live${reason ? ` (${reason})` : ""}`, () => {
  let site: DevSite;
  beforeAll(async () => {
    site = await openDevSite();
  });
  afterAll(() => site?.close());

  test(
    "both columns go on as the decoder does in Node, and a lost device is told and can be replaced",
    async () => {
      const { page, errors } = await site.open();
      await page.fill("#live [name=prompt]", PROMPT);
      await page.fill("#live [name=tokens]", String(TOKENS));
      await page.click("#live [type=submit]");
      const expected = await continuationsInNode();
      await isIdle(page);
      expect(await text(page, "hire")).toBe(expected.hire);
      expect(await text(page, "exact")).toBe(expected.exact);
      expect(await page.innerText("[data-figure=tokens]")).toBe("16, of which 0 differ");
      expect(await page.innerText("[data-figure=bytes]")).toBe("HiRE 2.53 MB, exact 6.36 MB; all weights are 8.91 MB");
      for (const layers of ["head", "feedForwards"]) {
        const [last, mean] = (await page.innerText(`[data-figure=${layers}]`)).match(/[\d.]+/g)!.map(Number);
        expect(Math.min(last!, mean!)).toBeGreaterThan(99);
      }

      await page.click("#live button:text('Start over')");
      await page.workers()[0]!.evaluate(() => {
        const { createCommandEncoder } = GPUDevice.prototype;
        GPUDevice.prototype.createCommandEncoder = function (...given) {
          this.destroy();
          return createCommandEncoder.apply(this, given);
        };
      });
      await page.click("#live button:text('One token')");
      expect(await page.textContent("#live .problem")).toContain("HIRE-RUN-005");
      expect(await page.innerText("#live [type=submit]")).toBe("Start");
      await expect.poll(() => page.workers().length).toBe(0);
      expect(errors).toEqual([]);
      await page.context().close();
    },
    MINUTES,
  );

  test("tokens on which the columns differ are marked in both and announced; others are not", async () => {
    const { page, errors } = await site.open((page) => page.addInitScript(answerWithSteps));
    const one = page.locator("#live button:text('One token')");
    await one.click();
    await one.click();
    await isIdle(page);
    expect(await text(page, "hire")).toBe("In the beginning was the house");
    expect(await text(page, "exact")).toBe("In the beginning was the\nland");
    const marks = page.locator("#live mark");
    expect(await marks.allInnerTexts()).toEqual(["house", "land"]);
    expect(await marks.first().getAttribute("title")).toBe("The other column has “↵land” here");
    expect(await page.textContent("#live [aria-live=polite]")).toBe("Token 2 differs: HiRE “ house”, exact “↵land”.");
    expect(await page.innerText("[data-figure=tokens]")).toBe("2, of which 1 differs");
    expect(await page.innerText("[data-figure=head]")).toBe("75.0 % last, 87.5 % on average");
    expect(await page.innerText("[data-figure=speed]")).toBe("HiRE 50.0, exact 25.0");
    expect(await violationsOf(page)).toEqual([]);

    expect(await page.evaluate(() => document.activeElement!.textContent)).toBe("One token");
    expect(await page.innerText("#live [type=submit]")).toBe("Continue");
    await page.fill("#live [name=prompt]", "And");
    await page.locator("#live [name=prompt]").blur();
    expect(await page.innerText("#live [type=submit]")).toBe("Start");
    expect(errors).toEqual([]);
    await page.context().close();
  });

  test("loading can be stopped, and begun again", async () => {
    const { page } = await site.open();
    await page.context().route("**/*.safetensors", () => undefined);
    for (let i = 0; i < 2; i++) {
      await page.click("#live [type=submit]");
      await page.waitForSelector("#live progress:visible");
      await page.click("#live button:text('Stop')");
      expect(await page.innerText("#live .status")).toBe("Stopped.");
      expect(await page.innerText("#live [type=submit]")).toBe("Start");
      await expect.poll(() => page.workers().length).toBe(0);
    }
    await page.context().close();
  });

  test("weights that cannot be fetched are named", async () => {
    const { page } = await site.open();
    await page.context().route("**/*.safetensors", (route) => route.fulfill({ status: 404 }));
    await page.click("#live [type=submit]");
    expect(await page.textContent("#live .problem")).toMatch(/HIRE-RUN-026 model.safetensors .*the server answers 404/);
    await page.context().close();
  });
});

/** In place of workers: one that loads nothing, and whose second token differs. */
function answerWithSteps(): void {
  const step = (hire: string, exact: string, head: number) => ({
    token: { hire: hire.length, exact: exact.length },
    piece: { hire, exact },
    recall: { head, feedForwards: 1 },
    time: { hire: 20, exact: 40 },
  });
  const answers: Record<string, object[]> = {
    load: [
      {
        ...{ adapter: "none", kind: "hardware", profile: "none" },
        ...{ bytes: { hire: 1, exact: 2, whole: 3 }, times: { fetch: 0, pack: 0, load: 0 } },
      },
    ],
    begin: [{ text: "In the beginning" }],
    step: [step(" was the", " was the", 1), step(" house", "\nland", 0.75)],
  };
  globalThis.Worker = class extends EventTarget {
    onmessage?: (event: { data: object }) => void;
    postMessage({ task }: { task: string }) {
      setTimeout(() => this.onmessage?.({ data: { result: answers[task]!.shift() } }));
    }
    terminate() {}
  } as unknown as typeof Worker;
}
