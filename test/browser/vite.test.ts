// `import spec from "./tiny.hire.ts"` in a page, by way of Vite's build and its dev server, and of esbuild and Rolldown.

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build as esbuild } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { rolldown } from "rolldown";
import { build, createServer, type InlineConfig, type ViteDevServer } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import unplugin from "../../compiler/unplugin.ts";
import hirec from "../../compiler/vite.ts";
import { launchChromium, whyNoChromium } from "./chromium.ts";
import { openSite, type Site } from "./site.ts";

const why = await whyNoChromium();
const root = fileURLToPath(new URL("../..", import.meta.url));

const spec = (k: string) => `import { defineModel, dense, softmax } from "hirec";
import { rows } from "./sizes.ts";

export default defineModel("tiny", {
  head: softmax({ inputs: 32, rows, dtype: "f32", weight: "w", estimator: dense(), k: ${k} }),
});
`;

/** Says what the model returns for a token of zeros, and in which visit. */
const PAGE = `import { bindSpec, requestDevice } from "hirec/runtime";
import spec from "./tiny.hire.ts";
globalThis.loads = (globalThis.loads ?? 0) + 1;
async function show(spec) {
  const { plan, load } = bindSpec(spec);
  const device = await requestDevice(plan);
  const model = await load(device, ({ bytes }) => new Uint8Array(bytes));
  const { indices } = await model.layers.head.run(new Float32Array(32));
  document.body.textContent = [model.profile, plan.layers.head.rows, ...indices].join(" ");
}
show(spec);
import.meta.hot?.accept("./tiny.hire.ts", (next) => show(next.default));
`;

let project: string;
const at = (file: string) => join(project, file);
beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "hirec-vite-"));
  await writeFile(at("index.html"), '<!doctype html><body><script type="module" src="./main.js"></script>');
  await writeFile(at("main.js"), PAGE);
  await writeFile(at("sizes.ts"), "export const rows: number = 100;\n");
  await writeFile(at("tiny.hire.ts"), spec("2"));
});
afterAll(() => rm(project, { recursive: true }));

const alias = [
  { find: /^hirec$/, replacement: join(root, "dsl/index.ts") },
  { find: /^hirec\/runtime$/, replacement: join(root, "runtime/index.ts") },
];
const config = (): InlineConfig => ({
  configFile: false,
  root: project,
  cacheDir: at(".vite"),
  logLevel: "silent",
  base: "./",
  resolve: { alias },
  plugins: [hirec()],
  build: { outDir: at("out"), target: "esnext" },
});

describe.skipIf(why)(`a spec in a page${why ? `, skipped: ${why}` : ""}`, () => {
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    browser = await launchChromium();
    page = await browser.newPage();
  });
  afterAll(() => browser?.close());

  /** Until the page shows a result that matches. */
  const shown = async (result: string) => {
    await page.waitForFunction((wanted) => document.body.textContent === wanted, result, { timeout: 20_000 });
  };

  describe("that Vite has built", () => {
    let site: Site;
    beforeAll(async () => {
      await build(config());
      site = await openSite();
      site.files.clear();
      // Anywhere on any static host, here under a strict policy.
      for (const file of await readdir(at("out"), { recursive: true, withFileTypes: true })) {
        if (!file.isFile()) continue;
        const path = join(file.parentPath, file.name);
        site.files.set(`/deep/down/${path.slice(at("out/").length)}`, await readFile(path));
      }
    });
    afterAll(() => site.close());

    test("runs, and fetches the kernels of one profile", async () => {
      await page.goto(`${site.url}deep/down/index.html`);
      await shown("webgpu-subgroups 100 0 1");
      const kernels = site.requests.filter((path) => path.includes("hirec-profile") || path.includes("tiny.hire"));
      expect(kernels).toHaveLength(1);
    });
  });

  describe("of Vite's dev server", () => {
    let server: ViteDevServer;
    beforeAll(async () => {
      server = await createServer({
        ...config(),
        server: { port: 0, host: "127.0.0.1", fs: { allow: [project, root] } },
      });
      await server.listen();
      await page.goto(server.resolvedUrls!.local[0]!);
    });
    afterAll(() => server.close());
    const overlay = () => page.evaluate(() => document.querySelector("vite-error-overlay")?.shadowRoot?.textContent);

    test("runs", () => shown("webgpu-subgroups 100 0 1"));

    test("is replaced when it changes, without loading the page again", async () => {
      await writeFile(at("tiny.hire.ts"), spec("3"));
      await shown("webgpu-subgroups 100 0 1 2");
      expect(await page.evaluate("loads")).toBe(1);
    });

    test("is replaced when something changes that it imports", async () => {
      await writeFile(at("sizes.ts"), "export const rows: number = 50;\n");
      await shown("webgpu-subgroups 50 0 1 2");
    });

    test("shows what is wrong with it in the overlay, with its place, until it is mended", async () => {
      await writeFile(at("tiny.hire.ts"), spec("300"));
      await page.waitForSelector("vite-error-overlay", { state: "attached", timeout: 30_000 });
      const text = (await overlay())!;
      expect(text).toContain("HIRE-SPEC-012: ");
      expect(text).toContain("fix: ");
      expect(text).toContain("tiny.hire.ts:5:");
      expect(text).toMatch(/4 \|.*\n5 \| {3}head: softmax.*k: 300.*\n {2}\| +\^+\n6 \|/);
      await writeFile(at("tiny.hire.ts"), spec("1"));
      await shown("webgpu-subgroups 50 0");
      expect(await overlay()).toBeUndefined();
    });
  });
});

describe("other bundlers", () => {
  beforeAll(async () => {
    await mkdir(at("other"));
    await writeFile(at("other/small.hire.ts"), spec("1").replace("./sizes.ts", "../sizes.ts"));
    await writeFile(at("other/broken.hire.ts"), spec("1000000").replace("./sizes.ts", "../sizes.ts"));
    for (const name of ["small", "broken"]) {
      await writeFile(at(`other/${name}.js`), `import spec from "./${name}.hire.ts";\nexport default spec;\n`);
    }
  });

  /** What the bundle exports, when it is run. */
  const exported = async (file: string) => {
    const { default: found } = (await import(file)) as {
      default: { plan: { model: string; programs: { profile: string }[] }; sources(file: string): Promise<string> };
    };
    const source = await found.sources("webgpu-default/head.score_select.wgsl");
    return [found.plan.model, found.plan.programs.map(({ profile }) => profile), source.includes("@compute")];
  };
  const EXPECTED = ["tiny", ["webgpu-subgroups", "webgpu-default"], true];

  const withEsbuild = (name: string) =>
    esbuild({
      entryPoints: [at(`other/${name}.js`)],
      bundle: true,
      format: "esm",
      outfile: at(`${name}-esbuild.mjs`),
      logLevel: "silent",
      plugins: [unplugin.esbuild()],
    });
  const withRolldown = async (name: string) => {
    const bundle = await rolldown({ input: at(`other/${name}.js`), plugins: [unplugin.rolldown()] });
    await bundle.write({ dir: at(`${name}-rolldown`), entryFileNames: "main.mjs", chunkFileNames: "[name].mjs" });
    await bundle.close();
  };

  test("esbuild", async () => {
    await withEsbuild("small");
    expect(await exported(at("small-esbuild.mjs"))).toEqual(EXPECTED);
    await expect(withEsbuild("broken")).rejects.toThrow("HIRE-SPEC-012");
  });

  test("Rolldown, as Rollup", async () => {
    await withRolldown("small");
    expect(await exported(at("small-rolldown/main.mjs"))).toEqual(EXPECTED);
    await expect(withRolldown("broken")).rejects.toThrow("HIRE-SPEC-012");
  });
});
