import { readFile, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type InstalledPackage, installPackage, root, runProgram } from "./install.ts";

/** The runtime's budgets in a browser, gzipped and without weights: all of it, and what a page that loads one model keeps. */
const RUNTIME_BUDGET = 30_000;
const PAGE_BUDGET = 12_000;

let installed: InstalledPackage;
beforeAll(async () => {
  installed = await installPackage();
});
afterAll(() => installed.remove());

const SPEC = `import { defineModel, quantized, softmax } from "hirec";
export default defineModel("small", {
  head: softmax({ inputs: 32, rows: 200, dtype: "f32", weight: "w", estimator: quantized({ bits: 8 }), k: 4 }),
});
`;

it("has a lockfile that holds every platform's packages, without which npm ci refuses it", async () => {
  const { packages } = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, { optionalDependencies?: Record<string, string>; resolved?: string }>;
  };
  const locked = new Set(Object.keys(packages).map((path) => path.split("node_modules/").at(-1)));
  const optional = Object.values(packages).flatMap(({ optionalDependencies = {} }) =>
    Object.keys(optionalDependencies),
  );
  expect(optional.filter((name) => !locked.has(name))).toEqual([]);
  expect(Object.values(packages).filter(({ resolved }) => resolved !== undefined)).toEqual([]);
});

describe("the packed package", () => {
  it("ships the built code, the templates and the documentation, and nothing of the tests or examples", () => {
    const top = new Set(installed.files.map((path) => path.split("/")[0]));
    expect([...top].sort()).toEqual([
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "dist",
      "docs",
      "package.json",
      "templates",
    ]);
    expect(installed.files.filter((path) => path.startsWith("dist/") && !/\.(js|d\.ts)$/.test(path))).toEqual([]);
  });

  it("compiles a spec in a project of its own", async () => {
    await writeFile(join(installed.project, "small.hire.ts"), SPEC);
    const outcome = await runProgram(
      process.execPath,
      [join(installed.folder, "dist/compiler/cli/main.js"), "compile", "small.hire.ts"],
      installed.project,
    );
    expect(outcome).toMatchObject({ code: 0, stdout: expect.stringContaining("small: generated/small, 6 written") });
  });

  it("exports the language, the compiler and the runtimes with types that a strict consumer accepts", async () => {
    await writeFile(
      join(installed.project, "consumer.mts"),
      `import { defineModel, dense, softmax } from "hirec";
import { compileModel, type CompiledModel, HireError } from "hirec/compiler";
import { loadModel, readPack, type Plan, type SoftmaxResult } from "hirec/runtime";
import { requestNodeDevice, type NodeDevice } from "hirec/runtime/node";
const model = defineModel("m", { head: softmax({ inputs: 4, rows: 4, weight: "w", estimator: dense(), k: 1 }) });
const compiled: CompiledModel = compileModel(model);
const plan: Plan = compiled.plan;
export async function go(bytes: Uint8Array): Promise<SoftmaxResult> {
  const device: NodeDevice = await requestNodeDevice("software");
  const loaded = await loadModel(device.device, { plan, sources: Object.fromEntries(compiled.files) }, readPack(bytes, plan));
  return loaded.softmax("head").run(new Float32Array(4));
}
// @ts-expect-error 7 bits are not offered
import("hirec").then(({ quantized }) => quantized({ bits: 7 }));
console.log(HireError.name, plan.layers.head?.rows);
`,
    );
    await writeFile(
      join(installed.project, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noEmit: true,
          module: "nodenext",
          target: "es2022",
          lib: ["es2022", "dom"],
          typeRoots: [join(root, "node_modules/@types")],
          types: ["node"],
        },
        files: ["consumer.mts"],
      }),
    );
    const checked = await runProgram(join(root, "node_modules/.bin/tsc"), ["-p", "."], installed.project);
    expect(checked).toMatchObject({ code: 0, stdout: "" });
  });

  it("gives a browser a runtime within its budget, with nothing of Node or the compiler", async () => {
    const bundled = async (names: string) => {
      const { outputFiles, metafile } = await build({
        stdin: { contents: `export ${names} from "hirec/runtime";`, resolveDir: installed.project },
        bundle: true,
        write: false,
        minify: true,
        metafile: true,
        format: "esm",
        platform: "browser",
      });
      const inputs = Object.keys(metafile.inputs);
      expect(inputs.filter((path) => path.includes("compiler/") || path.includes("dsl/"))).toEqual([]);
      const { contents } = outputFiles[0]!;
      const gzipped = gzipSync(contents).byteLength;
      console.info(`runtime for a browser, ${names}: ${contents.byteLength} bytes, ${gzipped} gzipped`);
      return gzipped;
    };
    console.info(`package: ${installed.packedBytes} bytes packed, ${installed.unpackedBytes} unpacked`);
    expect(await bundled("*")).toBeLessThan(RUNTIME_BUDGET);
    expect(await bundled("{ bindSpec, fetchPack, keepLoaded, requestDevice }")).toBeLessThan(PAGE_BUDGET);
  });

  it("names no machine, registry or private path in anything it ships", async () => {
    const here = [resolve(root), homedir(), "registry."].flatMap((each) => ["-e", each]);
    const found = await runProgram("grep", ["-rlF", ...here, "."], installed.folder);
    expect(found.stdout).toBe("");
  });
});
