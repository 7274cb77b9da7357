// The runtime in a real browser, under a strict content security policy, on the page's thread and in a worker.

import { createHash } from "node:crypto";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { compileModel } from "../../compiler/index.ts";
import { defineModel, dense, softmax } from "../../dsl/index.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";
import { type ServedCase, serve, serveFfn, serveSoftmax } from "./case-files.ts";
import { launchChromium, whyNoChromium } from "./chromium.ts";
import { openPage, type TestPage } from "./open-page.ts";
import type { CaseFiles } from "./page.ts";
import { openSite, type Site } from "./site.ts";

const why = await whyNoChromium();

const HEADS = [
  "int8 activations in two stages: NaN in some weight rows",
  "quantized 130 × 100 f32, k 4, batch 2",
  "batch 6, more kept rows than lanes of a warp, every option",
  "certified int8 group 128, fallback, and options: random",
];
const FEED_FORWARDS = [
  "ffn: the last group smaller, other outputs than inputs",
  "ffn: silu, int8 activations, two stages",
];

const MIB = 1 << 20;

// The whole table takes as long here as on the software adapter.
const isLong = process.env.HIREC_LONG === "1";

function namesOf(cases: readonly { readonly name: string }[]): string[] {
  return cases.map(({ name }) => name);
}

describe.skipIf(why)(`in Chromium${why ? `, skipped: ${why}` : ""}`, () => {
  let browser: Browser;
  let site: Site;
  let visit: TestPage;
  beforeAll(async () => {
    [browser, site] = await Promise.all([launchChromium(), openSite()]);
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
  });
  beforeEach(async () => {
    visit = await openPage(browser, site);
    site.requests.length = 0;
    site.faults = {};
  });
  afterEach(() => visit.close());

  test("the page's policy forbids code out of text", async () => {
    await expect(visit.run("evaluate")).rejects.toThrow("EvalError");
    await expect(visit.runInWorker("evaluate")).rejects.toThrow("EvalError");
    expect(await visit.complaints()).toContain("script-src");
  });

  describe.each([
    [
      "on the page's thread",
      "run",
      isLong ? namesOf(SOFTMAX_CASES) : HEADS,
      isLong ? namesOf(FFN_CASES) : FEED_FORWARDS,
    ],
    ["in a worker", "runInWorker", HEADS.slice(0, 1), FEED_FORWARDS.slice(0, 1)],
  ] as const)("%s", (_, where, heads, feedForwards) => {
    const expectRight = async ({ files, judge }: ServedCase) => {
      const { result, profile, held, left } = await visit[where]("run", files);
      expect(judge(result)).toEqual([]);
      expect(profile).toBe("webgpu-subgroups");
      expect([held > 0, left]).toEqual([true, 0]);
      expect(await visit.complaints()).toEqual([]);
    };
    test.each(heads)("%s", async (name) => expectRight(await serveSoftmax(site, name)));
    test.each(feedForwards)("%s", async (name) => expectRight(await serveFfn(site, name)));
  });

  test("the kernels of the profile that is asked for are fetched, and no others", async () => {
    const { files, judge } = await serveSoftmax(site, HEADS[1]!);
    const { result, profile } = await visit.run("run", { ...files, profile: "webgpu-default" });
    expect([judge(result), profile]).toEqual([[], "webgpu-default"]);
    const kernels = site.requests.filter((path) => path.endsWith(".wgsl"));
    expect(kernels.length).toBeGreaterThan(0);
    expect(kernels.filter((path) => path.includes("webgpu-subgroups"))).toEqual([]);
  });

  test("a layer works in the page's own commands, between its copies and within its error scope", async () => {
    const { files } = await serveSoftmax(site, HEADS[1]!);
    const alone = await visit.run("run", files);
    const { indices, objection, usable } = await visit.run("share", files);
    expect(indices).toEqual(alone.result.indices!.slice(0, indices.length));
    expect([objection, usable]).toEqual([undefined, 4]);
  });

  test("a model whose device is lost is loaded again from what is kept, and returns the same", async () => {
    const { files, judge } = await serveSoftmax(site, HEADS[1]!);
    const before = await visit.run("keep", files);
    expect(judge(before.result)).toEqual([]);
    site.requests.length = 0;
    const protocol = await browser.newBrowserCDPSession();
    await protocol.send("Browser.crashGpuProcess");
    const after = await visit.run("keep", files);
    expect(after.result).toEqual(before.result);
    expect([after.devices, after.losses]).toEqual([2, ["unknown"]]);
    expect(site.requests.filter((path) => path.endsWith(".pack"))).toEqual([]);
  });

  describe("a pack of three chunks", () => {
    let files: CaseFiles & { readonly digest: string };
    let hashes: string[];
    let dataStart: number;
    beforeAll(async () => {
      const { plan, files: sources } = compileModel(
        defineModel("big", { head: softmax({ inputs: 500, rows: 2500, weight: "w", estimator: dense(), k: 1 }) }),
      );
      const bytesOf = (role: string, length: number) =>
        Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) + role.length) % 251);
      const { tensors } = plan.layers.head!;
      hashes = tensors.map(({ role, bytes }) => createHash("sha256").update(bytesOf(role, bytes)).digest("hex"));
      const weights = ({ role, bytes }: { role: string; bytes: number }) => bytesOf(role, bytes);
      files = { ...(await serve(site, plan, Object.fromEntries(sources), weights)), x: [] };
      const pack = site.files.get(`${files.folder}/case.pack`) as Uint8Array;
      dataStart = pack.byteLength - tensors.reduce((sum, { bytes }) => sum + bytes, 0);
    });
    const requested = () =>
      site.requests.filter((path) => path.includes(".pack")).map((path) => Number(path.split(" from ")[1] ?? 0));

    test("is loaded once: by its digest it needs no server, without it only the header", async () => {
      const cold = await visit.run("readAll", files);
      expect(cold).toMatchObject({ hashes, progress: { kept: 0 } });
      expect(requested()).toEqual([0]);
      const warm = await visit.run("readAll", files);
      expect(warm).toMatchObject({ hashes, progress: { kept: warm.progress!.total } });
      expect(requested()).toEqual([0]);
      const { digest: _, ...unknown } = files;
      const asked = await visit.runInWorker("readAll", unknown);
      expect(asked).toMatchObject({ hashes, progress: { kept: warm.progress!.total } });
      expect(requested()).toEqual([0, 0]);
    });

    test("goes on where it was interrupted, in the next visit", async () => {
      expect(await visit.run("readAll", files, 2 * MIB)).toMatchObject({
        refused: expect.stringContaining("AbortError"),
        progress: { loaded: 2 * MIB },
      });
      await visit.page.reload();
      await visit.page.waitForFunction(() => "inPage" in globalThis);
      expect(await visit.run("readAll", files)).toMatchObject({ hashes, progress: { kept: 2 * MIB } });
      expect(requested()).toEqual([0, dataStart + 2 * MIB]);
    });

    test("goes on where its connection broke", async () => {
      const cuts = [dataStart + 1.5 * MIB];
      site.faults = { cut: () => cuts.shift() };
      expect(await visit.run("readAll", files)).toMatchObject({ hashes });
      expect(requested()).toEqual([0, dataStart + MIB]);
    });

    test("is refused where it is damaged, and what is not damaged is kept", async () => {
      site.faults = {
        damage: (bytes) => {
          bytes[dataStart + MIB + 12345]! ^= 1;
          return bytes;
        },
      };
      const { refused } = await visit.run("readAll", files);
      expect(refused).toMatch(
        new RegExp(
          `^HIRE-PACK-012: .*is damaged: bytes ${dataStart + MIB} to ${dataStart + 2 * MIB - 1} are not those`,
        ),
      );
      site.faults = {};
      expect(await visit.run("readAll", files)).toMatchObject({ hashes, progress: { kept: MIB } });
    });

    test("is refused when it is another than the one that is asked for", async () => {
      const { refused } = await visit.run("readAll", { ...files, digest: "0".repeat(64) });
      expect(refused).toMatch(/^HIRE-PACK-012: .*its digest is [0-9a-f]{64}, not 0{64}/);
    });
  });
});
