// Tuning files beside a spec: what fits is compiled, what is stale is said and left out, what is broken is refused.

import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkSpec, compile } from "../../../compiler/index.ts";
import { planLayers } from "../../../compiler/plan-layers.ts";
import { planHash, readTuning, type TunedLayer, tuningPath } from "../../../compiler/tuning/file.ts";
import { writeTuning } from "../../../compiler/tuning/write.ts";
import { failureOf } from "./failure.ts";

const SPEC = `import { defineModel, ffn, quantized, softmax } from "hirec";
export default defineModel("tiny", {
  head: softmax({ inputs: 512, rows: 4096, weight: "head", estimator: quantized({ bits: 4 }), k: 4 }),
  mlp: ffn({ inputs: 64, hidden: 256, gated: false, weights: { up: "u", down: "d" }, k: 4,
    activation: (z) => Math.max(z, 0), estimator: quantized({ bits: 8 }) }),
});
`;

let folder: string;
let spec: string;
let hashes: Record<string, string>;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-tuning-"));
  spec = join(folder, "tiny.hire.ts");
  await writeFile(spec, SPEC);
  const { model } = await checkSpec(spec);
  hashes = Object.fromEntries(planLayers(model).map(({ layer, plan }) => [layer.name, planHash(plan)]));
});
afterEach(() => rm(folder, { recursive: true }));

/** Writes the tuning file, `knobs` of one layer on one profile unless it says more. */
async function writeFileOf(profiles: unknown, format: unknown = 1): Promise<void> {
  await writeFile(tuningPath(spec), JSON.stringify({ format, profiles }, null, 2));
}
const entry = (layer: string, knobs: object, plan = hashes[layer]) => ({ plan, knobs });
const compiled = () => compile(spec, { targets: ["wgsl", "cuda"] });

async function kernelOf(profile: string, layer: string, template: string) {
  const { plan } = await compiled();
  const program = plan.programs.find((each) => each.profile === profile)!.layers[layer]!;
  return { tuning: program.tuning, kernel: program.kernels.find((each) => each.template === template)! };
}

describe("a file that fits", () => {
  test("lies beside the spec, under its name", () => {
    expect(tuningPath("/a/tiny.hire.ts")).toBe("/a/tiny.tuning.json");
    expect(tuningPath("tiny.ts")).toBe("tiny.tuning.json");
    expect(tuningPath("b/tiny.1.hire.mts")).toBe(join("b", "tiny.1.tuning.json"));
  });

  test("is compiled, for the profile and layer that it names and for no other, and is an input", async () => {
    const before = await compiled();
    expect(before.inputs).toEqual([spec]);
    await writeFileOf({ "cuda-sm90": { head: entry("head", { splits: 2 }) } });
    const seen: string[] = [];
    const { files, warnings, inputs } = await compile(spec, {
      targets: ["wgsl", "cuda"],
      onInput: (path) => seen.push(path),
    });
    expect(warnings).toEqual([]);
    expect(inputs).toEqual([spec, tuningPath(spec)]);
    expect(seen).toContain(tuningPath(spec));
    expect((await kernelOf("cuda-sm90", "head", "score_select")).kernel.constants.SPLITS).toBe(2);
    expect((await kernelOf("cuda-sm90", "head", "score_select")).tuning).toEqual({ splits: 2 });
    expect((await kernelOf("cuda-sm80", "head", "score_select")).tuning).toBeUndefined();
    const added = [...files.keys()].filter((file) => !before.files.has(file));
    expect(added).toEqual(["cuda-sm90/head.score_select.cu", "cuda-sm90/head.rescore_topk.cu"]);
    for (const [file, text] of before.files) if (file !== "plan.json") expect(files.get(file)).toBe(text);
  });

  test("says nothing of profiles that are not compiled for, and may say that the default is best", async () => {
    await writeFileOf({
      "cuda-sm90": { gone: entry("head", { splits: 3 }) },
      "webgpu-default": { head: entry("head", {}) },
    });
    const { plan, warnings } = await compile(spec);
    expect(warnings).toEqual([]);
    expect(plan.programs.some(({ layers }) => layers.head!.tuning !== undefined)).toBe(false);
  });

  test("is watched for before it is there", async () => {
    const seen: string[] = [];
    await compile(spec, { onInput: (path) => seen.push(path) });
    expect([...new Set(seen)]).toEqual([spec, tuningPath(spec)]);
  });
});

describe("HIRE-PLAN-011 warns of what does not fit, at its place, and compiles the default", () => {
  const again = (layer: string) => `hirec tune tiny.hire.ts --profile cuda-sm90 --layer ${layer}`;

  test.each([
    [
      "a profile that there is not",
      () => ({ "cuda-sm70": { head: entry("head", { splits: 2 }) } }),
      'The tuning is for profile "cuda-sm70", which there is not',
      "Remove it; there are webgpu-subgroups, webgpu-default, cuda-sm100, cuda-sm90, cuda-sm80",
      { line: 4, column: 5, length: '"cuda-sm70"'.length },
    ],
    [
      "a layer that is gone",
      () => ({ "cuda-sm90": { tail: entry("head", { splits: 2 }) } }),
      'The tuning is for layer "tail", which the spec does not have',
      "Remove it",
      { line: 5, column: 7, length: '"tail"'.length },
    ],
    [
      "a layer that has changed",
      () => ({ "cuda-sm90": { head: entry("head", { splits: 2 }, "0123") } }),
      'Layer "head" has changed since it was tuned for cuda-sm90, and has its default schedule',
      `Measure again: ${again("head")}`,
      { line: 6, column: 9, length: '"plan"'.length },
    ],
    [
      "a knob that there is not",
      () => ({ "cuda-sm90": { head: entry("head", { spilts: 2 }) } }),
      'There is no knob "spilts": layer "head" has its default schedule on cuda-sm90',
      `Use one of projectLanes, splits, residentThreads, rescoreParts, rescoreLanesPerRow, gatherLanes, or measure again: ${again("head")}`,
      { line: 8, column: 11, length: '"spilts"'.length },
    ],
    [
      "a value that the layer cannot have",
      () => ({ "cuda-sm90": { head: entry("head", { splits: 3 }) } }),
      'Knob splits cannot be 3 here: layer "head" has its default schedule on cuda-sm90',
      `Use one of 1, 2, 4, or measure again: ${again("head")}`,
      { line: 8, column: 11, length: '"splits"'.length },
    ],
    [
      "a value of another type",
      () => ({ "cuda-sm90": { head: entry("head", { splits: true }) } }),
      'Knob splits cannot be true here: layer "head" has its default schedule on cuda-sm90',
      `Use one of 1, 2, 4, or measure again: ${again("head")}`,
      { line: 8, column: 11, length: '"splits"'.length },
    ],
    [
      "a knob that the layer has no use for",
      () => ({ "cuda-sm90": { mlp: entry("mlp", { gatherLanes: 64 }) } }),
      'Knob gatherLanes cannot be 64 here: layer "mlp" has its default schedule on cuda-sm90',
      `Remove the knob, which the layer has no use for, or measure again: ${again("mlp")}`,
      { line: 8, column: 11, length: '"gatherLanes"'.length },
    ],
    [
      "a value that is not offered, though a kernel could do it",
      () => ({ "cuda-sm90": { head: entry("head", { splits: 4, residentThreads: 128 }) } }),
      "Knob residentThreads cannot be 128 here",
      "Use one of 256, 512, 1024, 2048",
      { line: 9, column: 11, length: '"residentThreads"'.length },
    ],
  ])("%s", async (_, profiles, message, fix, place) => {
    await writeFileOf(profiles());
    const { warnings, plan, files } = await compiled();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toEqual({
      ...{ code: "HIRE-PLAN-011", severity: "warning" },
      ...{ message: expect.stringContaining(message), fix: expect.stringContaining(fix) },
      span: { file: tuningPath(spec), ...place },
    });
    expect(JSON.stringify(plan)).not.toContain('"tuning"');
    expect([...files.keys()].filter((file) => file.startsWith("cuda-sm90"))).toEqual([]);
  });

  test("values that do not go together, each of which the layer may have", async () => {
    // A head that fills the card without splits; 8 · 64 threads are more than 256.
    await writeFile(spec, SPEC.replace("inputs: 512, rows: 4096", "inputs: 1024, rows: 65536"));
    const { model } = await checkSpec(spec);
    const plan = planHash(planLayers(model)[0]!.plan);
    await writeFileOf({ "cuda-sm90": { head: { plan, knobs: { splits: 8, residentThreads: 256 } } } });
    const [warning, ...others] = (await compiled()).warnings;
    expect(others).toEqual([]);
    expect(warning).toMatchObject({
      message: 'splits 8, residentThreads 256 do not go together: layer "head" has its default schedule on cuda-sm90',
      fix: `Remove one of them, or measure again: ${again("head")}`,
      span: { line: 7, column: 9 },
    });
  });

  test("but not of values that go together, of which the layer could not have one alone", async () => {
    await writeFile(spec, SPEC.replace("inputs: 512", "inputs: 1024"));
    const { model } = await checkSpec(spec);
    const plan = planHash(planLayers(model)[0]!.plan);
    // By default a block has 8 · 64 threads.
    await writeFileOf({ "cuda-sm90": { head: { plan, knobs: { residentThreads: 256 } } } });
    expect((await compiled()).warnings).toHaveLength(1);
    const knobs = { splits: 2, residentThreads: 256 };
    await writeFileOf({ "cuda-sm90": { head: { plan, knobs } } });
    expect((await compiled()).warnings).toEqual([]);
    expect((await kernelOf("cuda-sm90", "head", "score_select")).tuning).toEqual(knobs);
  });

  test("every entry that does not fit, while those that do are compiled", async () => {
    await writeFileOf({
      "cuda-sm90": { head: entry("head", { splits: 2 }), mlp: entry("mlp", { splits: 16 }), tail: entry("head", {}) },
      "cuda-sm80": { head: entry("head", {}, "changed") },
    });
    const { warnings } = await compiled();
    expect(warnings.map(({ span }) => span!.line)).toEqual([14, 17, 24]);
    expect((await kernelOf("cuda-sm90", "head", "score_select")).tuning).toEqual({ splits: 2 });
  });
});

describe("HIRE-PLAN-010 refuses a file that cannot be understood, at its place", () => {
  test.each([
    ["no JSON", '{ "format": 1,\n  "profiles": nothing }', /: .+/, { line: 2, column: 15 }],
    ["an end that is missing", '{ "format": 1,\n  "profiles": {', /: .+/, { line: 2 }],
    ["a comma too many", '{ "format": 1, "profiles": {}, }', /: .+/, {}],
    ["nothing", "", /: .+/, { line: 1, column: 1 }],
    ["no object", "[1]", /: it holds no object$/, { line: 1, column: 1 }],
    ["null", "null", /: it holds no object$/, { line: 1, column: 1 }],
    ["no format", '{ "profiles": {} }', /: it has no format number, but this hirec reads format 1$/, { line: 1 }],
    [
      "another format",
      '{\n "format": 2 }',
      /: it has format 2, but this hirec reads format 1$/,
      { line: 2, column: 2 },
    ],
    ["two formats, of which the last counts", '{ "format": 1, "format": 3 }', /: it has format 3, /, { column: 16 }],
    ["no profiles", '{ "format": 1 }', /: `profiles` is no object$/, {}],
    ["a list of profiles", '{ "format": 1,\n "profiles": [] }', /: `profiles` is no object$/, { line: 2, column: 2 }],
    ["no layers", '{ "format": 1, "profiles": { "a": 1 } }', /: `a` is no object of layers$/, { column: 30 }],
    ["no layer", '{ "format": 1, "profiles": { "a": { "b": 1 } } }', /: `b` is no object$/, { column: 37 }],
    [
      "no hash",
      '{ "format": 1, "profiles": { "a": { "b": { "knobs": {} } } } }',
      /: `plan` is no hash$/,
      { column: 37 },
    ],
    [
      "no knobs",
      '{ "format": 1, "profiles": { "a": { "b": { "plan": "", "knobs": null } } } }',
      /: `knobs` is no object$/,
      { column: 56 },
    ],
    [
      "a word for a number",
      '{ "format": 1, "profiles": { "a": { "b": { "plan": "", "knobs": { "splits": "2" } } } } }',
      /: `splits` is neither a number nor true or false$/,
      { column: 67 },
    ],
  ] as const)("%s", async (_, text, message, place) => {
    await writeFile(tuningPath(spec), text);
    const { diagnostics } = await failureOf(compiled);
    expect(diagnostics).toHaveLength(1);
    const [{ code, message: said, fix, span }] = diagnostics as [(typeof diagnostics)[0]];
    expect(code).toBe("HIRE-PLAN-010");
    expect(said).toMatch(message);
    expect(said).toContain("The tuning file tiny.tuning.json cannot be read: ");
    expect(fix).toBe("Mend it, take it from version control, or remove it and measure again with hirec tune");
    expect(span).toMatchObject({ file: tuningPath(spec), ...place });
  });

  test("a folder in its place", async () => {
    await mkdir(tuningPath(spec));
    const { code, message } = (await failureOf(compiled)).diagnostics[0]!;
    expect(code).toBe("HIRE-PLAN-010");
    expect(message).toContain("EISDIR");
  });

  test.skipIf(process.getuid?.() === 0)("a file that may not be read", async () => {
    await writeFileOf({});
    await chmod(tuningPath(spec), 0);
    expect((await failureOf(compiled)).code).toBe("HIRE-PLAN-010");
  });
});

describe("writing what was measured", () => {
  const tuned = (layer: string, splits: number): TunedLayer => ({
    ...{ plan: hashes[layer]!, knobs: { splits }, reason: "it is faster", device: "a card", date: "2025-01-01" },
    measured: [],
  });
  const written = async () => JSON.parse(await readFile(tuningPath(spec), "utf8"));

  test("keeps what the file holds of other profiles and layers, but not of those that are gone", async () => {
    const { model } = await checkSpec(spec);
    const path = tuningPath(spec);
    await writeTuning(path, undefined, model, "cuda-sm80", { mlp: tuned("mlp", 1) });
    const { profiles } = await written();
    await writeFileOf({ ...profiles, "cuda-sm70": {}, "webgpu-default": { tail: entry("head", {}) } });
    await writeTuning(path, await readTuning(path), model, "cuda-sm90", {
      mlp: tuned("mlp", 1),
      head: tuned("head", 2),
    });
    await writeTuning(path, await readTuning(path), model, "cuda-sm90", { head: tuned("head", 4) });
    const file = await written();
    expect(file).toEqual({
      format: 1,
      profiles: {
        "cuda-sm90": { head: tuned("head", 4), mlp: tuned("mlp", 1) },
        "cuda-sm80": { mlp: tuned("mlp", 1) },
      },
    });
    // In the order of profiles, and of the spec.
    expect(Object.keys(file.profiles)).toEqual(["cuda-sm90", "cuda-sm80"]);
    expect(Object.keys(file.profiles["cuda-sm90"])).toEqual(["head", "mlp"]);
    expect((await compiled()).warnings).toEqual([]);
  });

  test("HIRE-RUN-009 where it cannot be written", async () => {
    const { model } = await checkSpec(spec);
    const path = join(folder, "tiny.hire.ts", "out.json");
    const { code } = await failureOf(() =>
      writeTuning(path, undefined, model, "cuda-sm90", { head: tuned("head", 2) }),
    );
    expect(code).toBe("HIRE-RUN-009");
    expect(existsSync(path)).toBe(false);
  });
});
