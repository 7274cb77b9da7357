// The text of emitted packages: what Python's own tools say of it, what it imports, and that it stands alone.

import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileModel, write } from "../../compiler/index.ts";
import { classNames } from "../../compiler/torch/names.ts";
import { python } from "../../compiler/torch/python.ts";
import { defineModel, ffn, multinomial, quantized, softmax } from "../../dsl/index.ts";
import { kernelsOf } from "../../runtime/plan.ts";
import { writeFiles } from "./build.ts";
import { PYTHON, whyNoPython } from "./python.ts";

const execute = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const committed = join(root, "generated/tiny-lm/torch");

const estimator = quantized({ bits: 4, group: 32 });
const head = { inputs: 32, rows: 90, estimator, k: 4 };

/** Names that Python, torch or the package itself could take for something else. */
const awkward = defineModel("3-awkward.names", {
  none: softmax({ ...head, weight: 'a "quoted"\\ name', mask: true }),
  layer: softmax({ ...head, weight: "b", bias: "c.bias", certify: "off", logSumExp: true }),
  model: softmax({ ...head, weight: "g" }),
  a_b: softmax({ ...head, weight: "d" }),
  aB: softmax({ ...head, weight: "e", certify: "report" }),
  hireError: softmax({ ...head, weight: "f" }),
});

const weights = { gate: "gate", up: "up", down: "down" };

/** Shards of several sizes, and some without rows. */
const spread = defineModel("spread", {
  head: softmax({ ...head, weight: "a", shards: 3, certify: "fallback", sample: multinomial() }),
  few: softmax({ ...head, weight: "b", rows: 5, k: 2, shards: { count: 3, layout: "contiguous" } }),
  one: softmax({ ...head, weight: "c", rows: 1, k: 1, shards: 3, mask: true }),
  mlp: ffn({ inputs: 32, hidden: 128, weights, activation: (z) => Math.max(z, 0), estimator, k: 4, shards: 3 }),
  whole: softmax({ ...head, weight: "d" }),
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-torch-package-"));
  await writeFiles(join(folder, "spread"), compileModel(spread, { targets: ["torch"] }).files);
  await writeFiles(join(folder, "awkward"), compileModel(awkward, { targets: ["torch"] }).files);
  await cp(committed, join(folder, "tiny-lm/torch"), { recursive: true });
});
afterAll(() => rm(folder, { recursive: true }));

const packages = [
  ["tiny-lm", "hirec_tiny_lm"],
  ["awkward", "hirec_3_awkward_names"],
  ["spread", "hirec_spread"],
] as const;

const noPython = await whyNoPython();
const noFlit = await whyNoPython("pip", "flit_core");
const noNumpy = await whyNoPython("numpy");

// A rendered line is as long as its names.
const LONG = "*/plan.py:E501,*/layers.py:E501,*/__init__.py:E501";
const RUFF = ["ruff", "check", "--isolated", "--line-length", "120", "--select", "E,F,W,B", "--ignore", "B905"];
const TOOLS = [
  { tool: "pyflakes", command: ["pyflakes"], why: await whyNoPython("pyflakes") },
  { tool: "ruff", command: [...RUFF, "--per-file-ignores", LONG], why: await whyNoPython("ruff") },
  // Without torch there are no types to hold the package to.
  { tool: "mypy", command: ["mypy", "--strict"], why: await whyNoPython("mypy", "torch", "safetensors") },
];

describe.skipIf(noPython)(`Python on emitted packages${noPython ? `, skipped: ${noPython}` : ""}`, () => {
  test.each(packages)("%s: every file compiles", async (model, name) => {
    await execute(PYTHON, ["-W", "error", "-m", "compileall", "-q", join(folder, model, "torch", name)]);
    await rm(join(folder, model, "torch", name, "__pycache__"), { recursive: true });
  });

  test.each(packages)(
    "%s: imports torch, safetensors, its own modules and the standard library",
    async (model, name) => {
      const files = (await readdir(join(folder, model, "torch", name))).filter((file) => file.endsWith(".py"));
      expect(files).toContain("ops.py");
      const script = `
import ast, json, sys
names = set()
for path in sys.argv[1:]:
    for node in ast.walk(ast.parse(open(path).read())):
        if isinstance(node, ast.Import):
            names |= {each.name.split(".")[0] for each in node.names}
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
print(json.dumps(sorted(names - sys.stdlib_module_names)))`;
      const paths = files.map((file) => join(folder, model, "torch", name, file));
      const { stdout } = await execute(PYTHON, ["-c", script, ...paths]);
      expect(JSON.parse(stdout)).toEqual(["safetensors", "torch"]);
    },
  );

  test.for(TOOLS)("$tool has nothing to say of it", { timeout: 300_000 }, async ({ tool, command, why }, { skip }) => {
    if (why) skip(why);
    const own = await mkdtemp(join(folder, "lint-"));
    for (const [model, name] of packages)
      await cp(join(folder, model, "torch", name), join(own, name), { recursive: true });
    const names = packages.map(([, name]) => name);
    const said = await execute(PYTHON, ["-m", ...command, ...names], { cwd: own }).then(
      () => "",
      ({ stdout }) => stdout,
    );
    expect(`${tool}: ${said}`).toBe(`${tool}: `);
  });

  test("has classes whose names clash with nothing, and layers by their own names", async ({ skip }) => {
    if (noNumpy) skip(noNumpy);
    const script = `
import json, hirec_3_awkward_names as package
print(json.dumps([[name, kind.__name__, kind.plan.weights[0].name] for name, kind in package.LAYERS.items()]))`;
    const env = { ...process.env, PYTHONDONTWRITEBYTECODE: "1" };
    const path = [join(folder, "awkward/torch"), join(root, "test/torch/fake")].join(":");
    const { stdout } = await execute(PYTHON, ["-c", script], { env: { ...env, PYTHONPATH: path } });
    expect(JSON.parse(stdout)).toEqual([
      ["none", "None_2", 'a "quoted"\\ name'],
      ["layer", "Layer_2", "b"],
      ["model", "Model", "g"],
      ["a_b", "AB", "d"],
      ["aB", "AB_2", "e"],
      ["hireError", "HireError_2", "f"],
    ]);
  });

  test("pip installs it with its kernels, and leaves nothing beside it", async ({ skip }) => {
    if (noFlit) skip(noFlit);
    const [source, target] = [join(folder, "tiny-lm/torch"), join(folder, "installed")];
    const before = await readdir(source, { recursive: true });
    const pip = ["-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation", "--no-compile"];
    await execute(PYTHON, [...pip, "--target", target, source]);
    expect(await readdir(source, { recursive: true })).toEqual(before);
    const installed = await readdir(join(target, "hirec_tiny_lm"), { recursive: true });
    const packaged = await readdir(join(source, "hirec_tiny_lm"), { recursive: true });
    expect(installed.sort()).toEqual(packaged.sort());
    expect(packaged).toContain("cuda/head.score_select.cu");
  }, 60_000);

  test("the script for a machine with a GPU says how it is called, and what is missing", async () => {
    const script = join(root, "test/gpu/torch_check.py");
    const run = (...args: readonly string[]) =>
      execute(PYTHON, [script, ...args]).catch(({ code, stderr }) => ({ code, stderr }));
    expect(await run()).toMatchObject({ code: 2, stderr: expect.stringContaining("usage: ") });
    const nothing = await run(folder, script);
    expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining("holds no emitted package") });
    const noPack = await run(committed, join(folder, "no.pack"));
    expect(noPack).toMatchObject({ code: 2, stderr: expect.stringContaining("no.pack is no file") });
    // Where there is a GPU, this file is no pack.
    expect((await run(committed, script)) as object).toMatchObject({ code: expect.toBeOneOf([1, 3]) });
    expect(await readdir(join(committed, "hirec_tiny_lm"))).not.toContain("__pycache__");
  });
});

describe("what is emitted", () => {
  test("the package holds the plan's kernels, the same bytes as beside it", async () => {
    for (const [model, name] of [
      [awkward, "hirec_3_awkward_names"],
      [spread, "hirec_spread"],
    ] as const) {
      const { plan, files } = compileModel(model, { targets: ["torch"] });
      const kernels = kernelsOf(plan);
      expect(kernels.length).toBeGreaterThan(0);
      for (const { kernel } of kernels) expect(files.get(`torch/${name}/${kernel.file}`)).toBe(files.get(kernel.file));
    }
  });

  test("what shards compute alike is stated once, in front of the layer, and nothing of shards without rows", () => {
    const { plan, files } = compileModel(spread, { targets: ["torch"] });
    const text = files.get("torch/hirec_spread/plan.py")!;
    const parts = [...text.matchAll(/parts=\((.*)\),/g)].map(([, names]) => names!.split(/, ?/).filter(Boolean));
    expect(parts).toEqual([
      ["HEAD_SHARD0_PLAN", "HEAD_SHARD0_PLAN", "HEAD_SHARD0_PLAN"],
      ["FEW_SHARD0_PLAN", "FEW_SHARD0_PLAN", "FEW_SHARD2_PLAN"],
      ["ONE_SHARD0_PLAN", "None", "None"],
      ["MLP_SHARD0_PLAN", "MLP_SHARD1_PLAN", "MLP_SHARD1_PLAN"],
    ]);
    const constants = [...text.matchAll(/^(\w+_PLAN) = /gm)].map(([, name]) => name);
    expect(constants).toEqual([
      ...["HEAD_SHARD0_PLAN", "HEAD__MERGE_PLAN", "HEAD_PLAN", "FEW_SHARD0_PLAN", "FEW_SHARD2_PLAN"],
      ...["FEW__MERGE_PLAN", "FEW_PLAN", "ONE_SHARD0_PLAN", "ONE__MERGE_PLAN", "ONE_PLAN"],
      ...["MLP_SHARD0_PLAN", "MLP_SHARD1_PLAN", "MLP_PLAN", "WHOLE_PLAN"],
    ]);
    for (const { packHash } of plan.shards!.shards) expect(text).toContain(`    "${packHash}",\n`);
  });

  test("a package's hash is another one when anything of it is", () => {
    const hashOf = (model: Parameters<typeof compileModel>[0]) => {
      const { files } = compileModel(model, { targets: ["torch"] });
      return files.get("torch/hirec_few/plan.py")!.match(/^PACKAGE_HASH = "(\w{64})"$/m)![1];
    };
    const few = (k: number) => defineModel("few", { head: softmax({ ...head, k, weight: "a", shards: 2 }) });
    expect(hashOf(few(4))).toBe(hashOf(few(4)));
    expect(hashOf(few(4))).not.toBe(hashOf(few(5)));
  });

  test("launches that are the same for all cards are stated once, whatever else of a card the plan says", () => {
    // A multiprocessor of sm_80 has less shared memory, and holds fewer of these blocks.
    const tokens = { batch: 2, estimator: quantized({ bits: 4, activations: "f32" }) };
    const wide = softmax({ ...head, inputs: 2816, rows: 2 ** 18, weight: "w", ...tokens });
    const { plan, files } = compileModel(defineModel("wide", { wide }), { targets: ["torch"] });
    const resources = plan.programs.map(({ layers }) => JSON.stringify(layers.wide!.kernels[0]!.resources));
    expect(new Set(resources).size).toBe(2);
    expect(files.get("torch/hirec_wide/plan.py")!.match(/architecture=\d+/g)).toEqual(["architecture=80"]);
  });

  test("it is removed when it is emitted no longer, and other files beside it stay", async () => {
    const own = await mkdtemp(join(folder, "orphans-"));
    await write(own, compileModel(awkward, { targets: ["torch"] }).files);
    await writeFile(join(own, "torch/mine.py"), "# mine\n");
    const { orphaned } = await write(own, compileModel(awkward, { targets: ["cuda"] }).files);
    expect(orphaned).toContain("torch/pyproject.toml");
    expect(orphaned).toContain("torch/hirec_3_awkward_names/py.typed");
    expect(await readdir(join(own, "torch"))).toEqual(["mine.py"]);
    expect(await readFile(join(own, "torch/mine.py"), "utf8")).toBe("# mine\n");
  });

  test("a target is named once", () => {
    const { plan } = compileModel(awkward, { targets: ["wgsl", "torch"] });
    expect(plan.programs.map(({ target }) => target)).toEqual(["wgsl", "wgsl", "cuda", "cuda", "cuda"]);
    expect(compileModel(awkward, { targets: ["cuda"] }).files.has("torch/pyproject.toml")).toBe(false);
  });

  test("names of classes clash with nothing, whatever the order", () => {
    expect([...classNames(["x", "x_result"]).values()]).toEqual(["X", "XResult_2"]);
    expect([...classNames(["x_result", "x"]).values()]).toEqual(["XResult", "X_2"]);
  });

  test("data becomes Python", () => {
    expect(python([1])).toBe("(1,)");
    expect(python([])).toBe("()");
    expect(python(["a", true, undefined, { b: 2 }])).toBe('("a", True, None, {"b": 2})');
  });
});
