// The index.ts of a compiled model, as users have it: type-checked by tsc, and run from Node and from bundles.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type BuildOptions, build as esbuild } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type InstalledPackage, installPackage, root, runProgram } from "./install.ts";

const SPEC = `import { defineModel, dense, greedy, multinomial, quantized, softmax } from "hirec";
const shape = { inputs: 32, rows: 200, dtype: "f32", weight: "w", batch: 2 } as const;
export default defineModel("small", {
  head: softmax({ ...shape, estimator: quantized({ bits: 8 }), k: 4 }),
  draft: softmax({ ...shape, estimator: dense(), k: 1 }),
  drawn: softmax({ ...shape, estimator: dense(), k: 4, mask: true, logSumExp: true, sample: multinomial() }),
  masked: softmax({ ...shape, estimator: dense(), k: 4, mask: true, sample: greedy() }),
  proven: softmax({ ...shape, estimator: quantized({ bits: 8 }), k: 4, certify: "report" }),
});
`;

/** Names that are fine for a model and a layer, and mean something else in TypeScript. */
const ODD = `import { defineModel, dense, softmax } from "hirec";
const layer = softmax({ inputs: 32, rows: 200, dtype: "f32", weight: "w", estimator: dense(), k: 1 });
export default defineModel(NAME, { default: layer, constructor: layer, if: layer });
`;
const ODD_NAMES = ["7b", "promise", "typed-model", "hirec", "llama-3.2-1b"];

let installed: InstalledPackage;
const at = (file: string) => join(installed.project, file);
const hirec = (...args: string[]) =>
  runProgram(process.execPath, [join(installed.folder, "dist/compiler/cli/main.js"), ...args], installed.project);

beforeAll(async () => {
  installed = await installPackage();
  await writeFile(at("package.json"), '{ "type": "module" }');
  await writeFile(at("small.hire.ts"), SPEC);
  for (const name of ODD_NAMES) await writeFile(at(`${name}.hire.ts`), ODD.replace("NAME", JSON.stringify(name)));
  const compiled = await hirec("compile", "small.hire.ts", ...ODD_NAMES.map((name) => `${name}.hire.ts`));
  expect(compiled).toMatchObject({ code: 0 });
});
afterAll(() => installed.remove());

async function typecheck(source: string, module: "nodenext" | "esnext" = "nodenext") {
  await writeFile(at("consumer.mts"), source);
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUnusedLocals: true,
    erasableSyntaxOnly: true,
    verbatimModuleSyntax: true,
    allowImportingTsExtensions: true,
    noEmit: true,
    module,
    moduleResolution: module === "esnext" ? "bundler" : module,
    resolveJsonModule: true,
    target: "es2022",
    lib: ["es2022", "dom"],
    typeRoots: [join(root, "node_modules/@types")],
    types: ["node"],
  };
  await writeFile(at("tsconfig.json"), JSON.stringify({ compilerOptions, files: ["consumer.mts"] }));
  return runProgram(join(root, "node_modules/.bin/tsc"), ["-p", "."], installed.project);
}

describe("the types of a compiled model", () => {
  const start = `import type { WeightSource } from "hirec/runtime";
import { readCompiledFolder } from "hirec/runtime/node";
import { loadSmall, type Small, type SmallProfile } from "./generated/small/index.ts";
declare const device: GPUDevice;
declare const encoder: GPUCommandEncoder;
declare const weights: WeightSource;
`;

  it.each(["nodenext", "esnext"] as const)("accept what fits the spec, with module %s", async (module) => {
    const checked = await typecheck(
      `${start}
import plan from "./generated/small/plan.json" with { type: "json" };
const model: Small = await loadSmall(device, await readCompiledFolder("generated/small"), weights);
const { indices, values, k, tokens } = await model.layers.head.run(new Float32Array(32));
const four: 4 = k;
const rows: 200 = model.layers.draft.plan.rows;
const dtype: "f32" = model.layers.head.plan.dtype;
const best: number | undefined = indices[(tokens - 1) * k] ?? values[0];
model.layers.head.encode(encoder, model.layers.head.createBuffers());
declare const own: GPUBuffer;
model.layers.draft.encode(encoder, { x: own, indices: own, values: own });
const profile: SmallProfile = "webgpu-default";
const sources = (file: string) => fetch(file).then((found) => found.text());
const part = await loadSmall(device, { plan, sources }, new Uint8Array(8), { profile, layers: ["draft"] });
part.layers.draft.destroy();
const { drawn, masked, proven } = model.layers;
const [x, mask, uniforms] = [new Float32Array(32), new Uint8Array(200), new Float32Array(1)];
const draws = await drawn.run(x, { mask, uniforms });
const more = [...draws.lse, ...draws.sampled, ...(await drawn.run(x, { uniforms })).sampled];
more.push(...(await masked.run(x)).sampled, ...(await masked.run(x, { mask })).sampled);
more.push(...(await proven.run(x)).certified);
drawn.encode(encoder, drawn.createBuffers());
drawn.encode(encoder, { ...drawn.createBuffers(), mask: own, uniforms: own, sampled: own, lse: own });
masked.encode(encoder, masked.createBuffers());
proven.encode(encoder, { ...proven.createBuffers(), certified: own });
console.log(four, rows, dtype, best, more);
model.destroy();
`,
      module,
    );
    expect(checked).toMatchObject({ code: 0, stdout: "" });
  });

  it("refuse a wrong layer, buffer, input or option", async () => {
    const wrong = [
      "model.layers.heda",
      "model.layers.head.run(new Uint32Array(32))",
      "model.layers.head.run(new Float64Array(32))",
      "(await model.layers.head.run(x)).k satisfies 5",
      "model.layers.head.plan.rows satisfies 201",
      "head.run(x, {})",
      "head.run(x, { mask })",
      "(await head.run(x)).lse",
      "(await head.run(x)).sampled",
      "(await head.run(x)).certified",
      "drawn.run(x)",
      "drawn.run(x, { mask })",
      "drawn.run(x, { mask, uniforms: mask })",
      "drawn.run(x, { mask: uniforms, uniforms })",
      "drawn.run(x, { uniforms, unifroms: uniforms })",
      "(await drawn.run(x, { uniforms })).certified",
      "masked.run(x, { uniforms })",
      "masked.run(x, { mask, uniforms })",
      "(await masked.run(x)).lse",
      "(await proven.run(x)).sampled",
      "head.createBuffers().mask",
      "masked.createBuffers().uniforms",
      "masked.encode(encoder, buffers)",
      "proven.encode(encoder, buffers)",
      "head.encode(encoder, { ...buffers, mask: own })",
      "drawn.encode(encoder, masked.createBuffers())",
      "drawn.encode(encoder, { ...drawn.createBuffers(), mask: drawn.createBuffers().sampled })",
      "drawn.encode(encoder, { ...drawn.createBuffers(), uniforms: drawn.createBuffers().sampled })",
      "drawn.encode(encoder, { ...drawn.createBuffers(), lse: drawn.createBuffers().values })",
      "drawn.encode(encoder, { ...drawn.createBuffers(), certified: own })",
      "head.encode(encoder, { x: buffers.x, indices: buffers.indices })",
      "head.encode(encoder, { x: buffers.values, indices: buffers.indices, values: buffers.values })",
      "head.encode(encoder, { x: buffers.x, indices: buffers.values, values: buffers.values })",
      "head.encode(encoder, model.layers.draft.createBuffers())",
      "head.encode(encoder, { ...buffers, vlaues: buffers.values })",
      'loadSmall(device, compiled, weights, { profile: "webgpu-9000" })',
      'loadSmall(device, compiled, weights, { layers: ["tail"] })',
      "loadSmall(device, compiled, weights, { layer: [] })",
      "part.layers.draft.run(x)",
      "loadSmall(device, compiled)",
      "loadSmall(device, {}, weights)",
    ];
    const checked = await typecheck(
      `${start}
declare const model: Small;
declare const x: Float32Array;
declare const mask: Uint8Array;
declare const uniforms: Float32Array;
declare const own: GPUBuffer;
export type Unused = SmallProfile;
const { head, drawn, masked, proven } = model.layers;
const buffers = head.createBuffers();
const compiled = await readCompiledFolder("generated/small");
const part = await loadSmall(device, compiled, weights, { layers: ["head"] });
part.layers.head.destroy();
${wrong.map((line) => `// @ts-expect-error\n${line};`).join("\n")}
`,
    );
    expect(checked).toMatchObject({ code: 0, stdout: "" });
  });

  it("stand for models and layers of any name", async () => {
    const uses = {
      "7b": "Model7b",
      promise: "Promise",
      "typed-model": "TypedModel",
      hirec: "Hirec",
      "llama-3.2-1b": "Llama3_2_1b",
    };
    const lines = Object.entries(uses).map(
      ([model, name]) => `import { load${name}, type ${name} as Type${name} } from "./generated/${model}/index.ts";
export const use${name} = async (...args: Parameters<typeof load${name}>): globalThis.Promise<1> => {
  const model: Type${name} = await load${name}(...args);
  return model.layers.constructor.plan.k ?? model.layers.default.plan.k ?? model.layers.if.plan.k;
};`,
    );
    expect(await typecheck(lines.join("\n"))).toMatchObject({ code: 0, stdout: "" });
  });
});

describe("the types of a spec that is imported", () => {
  const start = `import { bindSpec, type WeightSource } from "hirec/runtime";
import spec from "./small.hire.ts";
declare const device: GPUDevice;
declare const weights: WeightSource;
const { plan, sources, load } = bindSpec(spec);
const model = await load(device, weights);
const { head, draft, drawn, masked, proven } = model.layers;
const [x, mask, uniforms] = [new Float32Array(32), new Uint8Array(200), new Float32Array(1)];
`;

  it("are those of the layers, as far as the spec says them as literals", async () => {
    const checked = await typecheck(
      `${start}
const four: 4 = (await head.run(x)).k;
const shape: { rows: 200; batch: 2; dtype: "f32" } = draft.plan;
const draws = await drawn.run(x, { mask, uniforms });
console.log(plan.model, sources, four, shape, draws.lse, draws.sampled, (await masked.run(x, { mask })).sampled);
console.log((await proven.run(x)).certified, drawn.createBuffers().uniforms, head.createBuffers().indices);
const part = await load(device, new Uint8Array(8), { layers: ["draft"] });
part.layers.draft.destroy();
`,
      "esnext",
    );
    expect(checked).toMatchObject({ code: 0, stdout: "" });
  });

  it("refuse what the layers do not have", async () => {
    const wrong = [
      "model.layers.heda",
      "(await head.run(x)).k satisfies 5",
      "head.plan.rows satisfies 201",
      "head.run(x, { mask })",
      "(await head.run(x)).certified",
      "drawn.run(x)",
      "masked.run(x, { uniforms })",
      "(await masked.run(x)).lse",
      "load(device, weights, { layers: ['heda'] })",
    ];
    const lines = wrong.map((line) => `// @ts-expect-error\n${line};`);
    const used = "console.log(plan, sources, draft, proven);";
    expect(await typecheck(`${start}\n${used}\n${lines.join("\n")}`, "esnext")).toMatchObject({ code: 0, stdout: "" });
  });

  it("know a feed-forward, and a share of its groups as a number", async () => {
    await writeFile(
      at("sparse.hire.ts"),
      `import { defineModel, dense, ffn } from "hirec";
const shape = { inputs: 32, hidden: 64, weights: { up: "u", down: "d" }, gated: false } as const;
const more = { activation: (z: number) => Math.max(z, 0), estimator: dense() };
export default defineModel("sparse", { all: ffn({ ...shape, ...more, k: 8 }), some: ffn({ ...shape, ...more, k: 0.25 }) });
`,
    );
    const checked = await typecheck(
      `import { bindSpec } from "hirec/runtime";
import spec from "./sparse.hire.ts";
declare const device: GPUDevice;
const { all, some } = (await bindSpec(spec).load(device, new Uint8Array(8))).layers;
const shape: { outputs: 32; k: 8; rows: 64 } = all.plan;
const groups: number = (await some.run(new Float32Array(32))).k;
// @ts-expect-error
(await some.run(new Float32Array(32))).k satisfies 0.25;
console.log(shape, groups);
`,
      "esnext",
    );
    expect(checked).toMatchObject({ code: 0, stdout: "" });
  });

  it("leave editors to find properties that do not exist", async () => {
    const checked = await typecheck(
      `import { dense, ffn, softmax } from "hirec";
const shape = { inputs: 32, weight: "w", estimator: dense(), k: 1 };
// @ts-expect-error
softmax({ ...shape, rows: 200, candidatse: 4 });
// @ts-expect-error
softmax({ ...shape, rows: "200" });
// @ts-expect-error
ffn({ inputs: 32, hidden: 64, weights: { up: "u", down: "d" }, activation: (z) => z, estimator: dense(), k: 1, grop: {} });
`,
      "esnext",
    );
    expect(checked).toMatchObject({ code: 0, stdout: "" });
  });
});

/** A program that loads the model with its two parts, however those are come by, and says what came back. */
const program = (compiled: string, runtime: string) => `${compiled}
import { loadSmall } from "./generated/small/index.ts";
const { requestNullDevice } = await import(${JSON.stringify(runtime)});
const { device } = await requestNullDevice();
const model = await loadSmall(device, compiled, ({ bytes }) => new Uint8Array(bytes), { layers: ["head"] });
const { indices, tokens, k } = await model.layers.head.run(new Float32Array(3 * 32));
console.log(JSON.stringify([Object.keys(model.layers), indices.length, tokens, k, model.profile]));
process.exit(0);
`;
const ANSWER = '[["head"],12,3,4,"webgpu-subgroups"]\n';

describe("a compiled model in a few lines", () => {
  // The bundle is for a browser; the test alone takes its device from Node.
  const runtime = () => join(installed.folder, "dist/runtime/node/index.js");
  const options = () =>
    ({
      bundle: true,
      format: "esm",
      absWorkingDir: installed.project,
      external: [runtime()],
      logLevel: "silent",
    }) satisfies BuildOptions;

  it("runs in Node, from the compiled folder", async () => {
    const compiled = `import { readCompiledFolder } from "hirec/runtime/node";
const compiled = await readCompiledFolder("generated/small");`;
    await writeFile(at("in-node.ts"), program(compiled, runtime()));
    const { outputFiles } = await esbuild({
      ...options(),
      entryPoints: ["in-node.ts"],
      write: false,
      packages: "external",
    });
    await writeFile(at("in-node.mjs"), outputFiles[0]!.text);
    expect(await runProgram(process.execPath, ["in-node.mjs"], installed.project)).toMatchObject({ stdout: ANSWER });
  });

  it("runs from an esbuild bundle that holds plan and sources", async () => {
    const compiled = `import plan from "./generated/small/plan.json";
const sources = async (file) => (await import(\`./generated/small/\${file}\`)).default;
const compiled = { plan, sources };`;
    await writeFile(at("in-esbuild.ts"), program(compiled, runtime()));
    await esbuild({
      ...options(),
      entryPoints: ["in-esbuild.ts"],
      outfile: "in-esbuild.mjs",
      platform: "browser",
      loader: { ".wgsl": "text" },
    });
    await runProgram("mv", ["generated", "moved"], installed.project);
    const ran = await runProgram(process.execPath, ["in-esbuild.mjs"], installed.project);
    await runProgram("mv", ["moved", "generated"], installed.project);
    expect(ran).toMatchObject({ stdout: ANSWER });
  });

  it("runs from a Vite bundle that holds plan and sources", async () => {
    const compiled = `import plan from "./generated/small/plan.json";
const sources = import.meta.glob("./generated/small/**/*.wgsl", { query: "?raw", import: "default", eager: true });
const compiled = { plan, sources };`;
    await writeFile(at("in-vite.ts"), program(compiled, runtime()));
    const { build } = await import("vite");
    await build({
      configFile: false,
      root: installed.project,
      logLevel: "error",
      build: {
        target: "esnext",
        lib: { entry: at("in-vite.ts"), formats: ["es"], fileName: () => "in-vite.mjs" },
        outDir: at("vite"),
        rollupOptions: { external: [runtime()] },
      },
    });
    const ran = await runProgram(process.execPath, [at("vite/in-vite.mjs")], root);
    expect(ran).toMatchObject({ stdout: ANSWER });
  });

  it("adds next to nothing to a bundle that it is not used in", async () => {
    const { outputFiles } = await esbuild({
      ...options(),
      stdin: { contents: 'import "./generated/small/index.ts"; console.log(1);', resolveDir: installed.project },
      write: false,
      minify: true,
    });
    expect(outputFiles[0]!.text).not.toContain("layers");
  });
});
