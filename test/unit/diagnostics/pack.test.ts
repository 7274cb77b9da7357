// Weights that cannot be packed, and packs that cannot be used.

import { existsSync } from "node:fs";
import { mkdir, mkdtemp, open, readdir, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { compileModel } from "../../../compiler/index.ts";
import { defineModel, dense, lowRank, quantized, softmax } from "../../../dsl/index.ts";
import { type Diagnostic, HireError } from "../../../runtime/errors.ts";
import { readWeights } from "../../../runtime/layer.ts";
import { openPack, packModel } from "../../../runtime/node/pack-file.ts";
import { openSafetensors, writeSafetensors } from "../../../runtime/node/safetensors-file.ts";
import { readPack } from "../../../runtime/pack/read-pack.ts";
import { encodeHeader, type TensorToWrite, tensorBytes } from "../../../runtime/safetensors.ts";
import { failureOf } from "./failure.ts";

const SIZE = { inputs: 64, rows: 256, k: 4 } as const;
const modelOf = (name: string, bits: 4 | 8 = 4) =>
  defineModel(name, { head: softmax({ ...SIZE, weight: "lm_head", estimator: quantized({ bits }) }) });
const { plan } = compileModel(modelOf("tiny"));
const WEIGHT: TensorToWrite = { name: "lm_head", dtype: "BF16", shape: [256, 64] };

let folder: string;
const at = (name: string) => join(folder, name);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-pack-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function store(name: string, tensors: readonly TensorToWrite[] = [WEIGHT]): Promise<string> {
  const sources = tensors.map((tensor) => ({ ...tensor, bytes: () => new Uint8Array(tensorBytes(tensor)) }));
  await writeSafetensors(at(name), sources, {}, "HIRE-PACK-008");
  return at(name);
}

async function problemOf(work: () => unknown): Promise<Diagnostic> {
  const { diagnostics } = await failureOf(work);
  expect(diagnostics).toHaveLength(1);
  return diagnostics[0]!;
}

/** What packing complains about; nothing of the pack may be left then. */
async function packProblem(weights: readonly string[], out = at("out/tiny.pack")): Promise<Diagnostic> {
  const before = await readdir(folder);
  const problem = await problemOf(() => packModel(plan, weights, out));
  expect(await readdir(folder)).toEqual(before);
  return problem;
}

describe("recorded activations that do not fit the layer are refused, and no pack is left behind", () => {
  const estimator = lowRank({ rank: 8, bits: 8, basis: "activations" });
  const learned = compileModel(defineModel("tiny", { head: softmax({ ...SIZE, weight: "lm_head", estimator }) })).plan;

  async function problemWith(activations: readonly string[]): Promise<Diagnostic> {
    const weights = [await store("w.safetensors")];
    const before = await readdir(folder);
    const problem = await problemOf(() => packModel(learned, weights, at("tiny.pack"), { activations }));
    expect(await readdir(folder)).toEqual(before);
    return problem;
  }

  test("HIRE-PACK-010 when a basis needs them and there are none", async () => {
    expect(await problemWith([])).toMatchObject({
      code: "HIRE-PACK-010",
      message: 'Layer "head" takes its basis from activations, and none are given',
    });
    const other = await store("a.safetensors", [{ name: "mlp.input", dtype: "F32", shape: [2, 64] }]);
    const { code, message } = await problemWith([other]);
    expect([code, message]).toEqual([
      "HIRE-PACK-010",
      `Layer "head" takes its basis from activations, and ${other} lacks "head.input"`,
    ]);
  });

  test.each([
    ["BF16", [2, 64]],
    ["F32", [2, 63]],
    ["F32", [128]],
    ["F32", [0, 64]],
  ] as const)("HIRE-PACK-011 for %s %j", async (dtype, shape) => {
    const path = await store("a.safetensors", [{ name: "head.input", dtype, shape }]);
    const { code, message } = await problemWith([path]);
    expect([code, message]).toEqual([
      "HIRE-PACK-011",
      `Tensor "head.input" in ${path} is ${dtype} [${shape}], not F32 [tokens, 64]`,
    ]);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("HIRE-PACK-011 for activations that hold %d", async (value) => {
    const x = new Float32Array(3 * 64);
    x[64 + 5] = value;
    const tensor = { name: "head.input", dtype: "F32", shape: [3, 64], bytes: () => new Uint8Array(x.buffer) } as const;
    await writeSafetensors(at("a.safetensors"), [tensor], {}, "HIRE-PACK-008");
    const { code, message } = await problemWith([at("a.safetensors")]);
    expect([code, message]).toEqual([
      "HIRE-PACK-011",
      `Tensor "head.input" in ${at("a.safetensors")} holds ${value} in token 1`,
    ]);
  });
});

describe("weights that do not fit the plan are refused, and no pack is left behind", () => {
  test("HIRE-PACK-001 for a file that is not there, or is a folder", async () => {
    expect(await packProblem([at("none.safetensors")])).toMatchObject({
      code: "HIRE-PACK-001",
      message: expect.stringContaining(`${at("none.safetensors")} cannot be read: ENOENT`),
    });
    expect(await packProblem([folder])).toMatchObject({
      code: "HIRE-PACK-001",
      message: expect.stringContaining(`${folder} cannot be read: EISDIR`),
    });
  });

  test("HIRE-PACK-001, not a fault of the output, when the weights shrink while they are read", async () => {
    const file = await openSafetensors(await store("w.safetensors"));
    await truncate(at("w.safetensors"), 1000);
    const { code, message } = await problemOf(() => file.read(file.tensors.get("lm_head")!));
    await file.close();
    expect({ code, message }).toEqual({
      code: "HIRE-PACK-001",
      message: `${at("w.safetensors")} cannot be read: it ends at byte 1000`,
    });
  });

  test("HIRE-PACK-003 names layer, tensor and file, and offers tensors of the wanted shape", async () => {
    const path = await store("w.safetensors", [
      { ...WEIGHT, name: "embed" },
      { ...WEIGHT, name: "other", shape: [8, 8] },
    ]);
    expect(await packProblem([path])).toEqual({
      code: "HIRE-PACK-003",
      message: `Layer "head" wants tensor "lm_head", which ${path} does not hold`,
      fix: 'Correct `weight` in the spec; of that shape there is "embed"',
    });
  });

  test("HIRE-PACK-003 to -005 for the bias of a head, by the property that names it", async () => {
    const estimator = quantized({ bits: 4 });
    const biased = compileModel(
      defineModel("tiny", { head: softmax({ ...SIZE, weight: "lm_head", bias: "b", estimator }) }),
    ).plan;
    const bias = { name: "b", dtype: "BF16", shape: [256] } as const;
    const problemWith = async (tensor: TensorToWrite) => {
      const path = await store("w.safetensors", [WEIGHT, tensor]);
      return problemOf(() => packModel(biased, [path], at("tiny.pack")));
    };
    expect(await problemWith({ ...bias, name: "c" })).toEqual({
      code: "HIRE-PACK-003",
      message: `Layer "head" wants tensor "b", which ${at("w.safetensors")} does not hold`,
      fix: 'Correct `bias` in the spec; of that shape there is "c"',
    });
    expect(await problemWith({ ...bias, shape: [255] })).toMatchObject({
      code: "HIRE-PACK-004",
      message: `Tensor "b" in ${at("w.safetensors")} has shape [255], but layer "head" has [256] (rows)`,
      fix: "Correct rows in the spec, or name another tensor",
    });
    expect(await problemWith({ ...bias, dtype: "F32" })).toMatchObject({
      code: "HIRE-PACK-005",
      fix: "Convert the tensor to BF16: a bias has the dtype of its weights",
    });
    await packModel(biased, [await store("w.safetensors", [WEIGHT, bias])], at("tiny.pack"));
    expect(await readdir(folder)).toContain("tiny.pack");
  });

  test("HIRE-PACK-004 states both shapes", async () => {
    const path = await store("w.safetensors", [{ ...WEIGHT, shape: [64, 256] }]);
    expect(await packProblem([path])).toMatchObject({
      code: "HIRE-PACK-004",
      message: `Tensor "lm_head" in ${path} has shape [64,256], but layer "head" has [256,64] (rows, inputs)`,
    });
  });

  test.each([
    { dtype: "F32", fix: 'Write dtype: "f32" in the spec' },
    { dtype: "U32", fix: "Convert the tensor to F32, F16 or BF16; hirec reads no other dtype" },
  ] as const)("HIRE-PACK-005 for $dtype: $fix", async ({ dtype, fix }) => {
    const path = await store("w.safetensors", [{ ...WEIGHT, dtype }]);
    const message = `Tensor "lm_head" in ${path} is ${dtype}, but layer "head" has dtype "bf16"`;
    expect(await packProblem([path])).toEqual({ code: "HIRE-PACK-005", message, fix });
  });

  test("HIRE-PACK-009 names every file that holds the tensor", async () => {
    const paths = [await store("a.safetensors"), await store("b.safetensors")];
    expect(await packProblem(paths)).toMatchObject({
      code: "HIRE-PACK-009",
      message: `Tensor "lm_head" stands in several files: ${paths.join(", ")}`,
    });
  });
});

describe("HIRE-PACK-002: a file that is not whole safetensors is refused with what is wrong", () => {
  const header = (entries: unknown, length?: number) => {
    const json = new TextEncoder().encode(typeof entries === "string" ? entries : JSON.stringify(entries));
    const bytes = new Uint8Array(8 + json.byteLength + 32);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(length ?? json.byteLength), true);
    bytes.set(json, 8);
    return bytes;
  };
  const tensor = (dtype: unknown, shape: unknown, offsets: unknown) =>
    header({ t: { dtype, shape, data_offsets: offsets } });

  test.each<[string, Uint8Array, string]>([
    ["an empty file", new Uint8Array(), "it has 0 bytes, fewer than the 8 that give the header's length"],
    [
      "a header longer than the file",
      header({}, 2 ** 40),
      "its first 8 bytes promise a header of 1099511627776 bytes, where at most 34 can be",
    ],
    ["a header that is not JSON", header("not json"), "its header is not JSON: "],
    ["a header that is a list", header([]), "its header is not a JSON object"],
    [
      "metadata that is no text",
      header({ __metadata__: { a: 1 } }),
      "its metadata is not a map from strings to strings",
    ],
    ["a tensor without dtype", tensor(1, [2], [0, 8]), 'tensor "t" has no dtype'],
    ["a negative shape", tensor("F32", [-2], [0, 8]), 'tensor "t" has no valid shape'],
    ["three offsets", tensor("F32", [2], [0, 4, 8]), 'tensor "t" has no valid data_offsets'],
    ["offsets that lie", tensor("F32", [4], [0, 8]), 'tensor "t" F32 [4] needs 16 bytes, but its offsets span 8'],
    ["offsets that run back", tensor("F99", [1], [8, 0]), 'tensor "t" F99 [1] needs 0 bytes, but its offsets span -8'],
    ["a tensor behind the end", tensor("F32", [9], [0, 36]), 'tensor "t" ends at byte '],
    [
      "tensors that share bytes",
      header({
        a: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
        b: { dtype: "F32", shape: [2], data_offsets: [4, 12] },
      }),
      'tensors "a" and "b" share bytes',
    ],
  ])("%s", async (_, bytes, says) => {
    await writeFile(at("w.safetensors"), bytes);
    const { code, message } = await packProblem([at("w.safetensors")]);
    expect(code).toBe("HIRE-PACK-002");
    expect(message).toContain(`${at("w.safetensors")} is not a whole safetensors file: ${says}`);
  });

  test("a truncated file", async () => {
    const path = await store("w.safetensors");
    const bytes = await readFile(path);
    await truncate(path, bytes.byteLength - 1);
    const end = `ends at byte ${bytes.byteLength}, but the file has ${bytes.byteLength - 1}`;
    expect(await packProblem([path])).toMatchObject({
      code: "HIRE-PACK-002",
      message: `${path} is not a whole safetensors file: tensor "lm_head" ${end}`,
    });
  });
});

describe("a pack is used only with the plan it was made for", () => {
  const refused = async (path: string, wanted = plan) => {
    const fromFile = await problemOf(() => openPack(path, wanted));
    const bytes = await readFile(path);
    expect(await problemOf(() => readPack(bytes, wanted, path))).toEqual(fromFile);
    expect(fromFile.fix).toBe(`Pack again: hirec pack MODULE --weights FILE --out ${path}`);
    return [fromFile.code, fromFile.message];
  };
  const stamped = async (metadata: Record<string, string>, tensors: readonly TensorToWrite[] = []) => {
    await writeFile(at("tiny.pack"), encodeHeader(tensors, metadata));
    return at("tiny.pack");
  };

  test("HIRE-PACK-006 for weights that were never packed", async () => {
    const path = await store("w.safetensors");
    expect(await refused(path)).toEqual(["HIRE-PACK-006", `${path} was not made by hirec pack`]);
  });

  test("HIRE-PACK-006 for the pack of another model, or of another version of the spec", async () => {
    const weights = await store("w.safetensors");
    for (const [name, bits, of] of [
      ["other", 8, 'model "other"'],
      ["tiny", 8, "another version of its spec"],
    ] as const) {
      await packModel(compileModel(modelOf(name, bits)).plan, [weights], at(`${name}.pack`));
      const says = `${at(`${name}.pack`)} was packed for ${of}, not for this plan of "tiny"`;
      expect(await refused(at(`${name}.pack`))).toEqual(["HIRE-PACK-006", says]);
    }
  });

  test("HIRE-PACK-006 for a pack that claims the plan but lacks a tensor", async () => {
    const path = await stamped({ hirec_format: "1", hirec_model: "tiny", hirec_pack: plan.packHash });
    const [codes] = plan.layers.head!.tensors;
    expect(await refused(path)).toEqual(["HIRE-PACK-006", `${path} lacks tensor "head.codes" U32 [${codes!.shape}]`]);
  });

  test("HIRE-PACK-006 for a source of weights that gives too few bytes", async () => {
    const [codes] = plan.layers.head!.tensors;
    const { code, message } = await problemOf(() => readWeights(() => new Uint8Array(4), codes!));
    expect(code).toBe("HIRE-PACK-006");
    expect(message).toBe(`The weights hold 4 bytes of tensor "head.codes", which has ${codes!.bytes}`);
  });

  test("HIRE-PACK-007 for another format, before anything else of it is believed", async () => {
    const path = await stamped({ hirec_format: "2", hirec_model: "tiny", hirec_pack: plan.packHash });
    expect(await refused(path)).toEqual(["HIRE-PACK-007", `${path} has pack format 2, but this hirec reads 1`]);
  });

  test("HIRE-PACK-001 for a pack that is not there", async () => {
    expect((await problemOf(() => openPack(at("none.pack"), plan))).code).toBe("HIRE-PACK-001");
  });
});

describe("HIRE-PACK-008: an output that cannot be written is named, and nothing stays", () => {
  test("its folder is a file", async () => {
    const weights = await store("w.safetensors");
    const { code, message } = await packProblem([weights], join(weights, "tiny.pack"));
    expect(code).toBe("HIRE-PACK-008");
    expect(message).toMatch(/w\.safetensors\/tiny\.pack cannot be written: (ENOTDIR|EEXIST)/);
  });

  test("it is a folder, or a device, which a rename would replace", async () => {
    const weights = await store("w.safetensors");
    const message = `${folder} cannot be written: it is a folder`;
    expect(await packProblem([weights], folder)).toMatchObject({ code: "HIRE-PACK-008", message });
    await symlink("/dev/null", at("null.pack"));
    expect(await packProblem([weights], at("null.pack"))).toMatchObject({
      code: "HIRE-PACK-008",
      message: `${at("null.pack")} cannot be written: it is not a regular file`,
    });
  });

  test("it is the weights themselves, also under another name", async () => {
    const weights = await store("w.safetensors");
    await symlink(weights, at("alias.safetensors"));
    const before = await readFile(weights);
    for (const out of [weights, at("alias.safetensors")]) {
      expect(await packProblem([weights], out)).toMatchObject({
        code: "HIRE-PACK-008",
        message: `${out} cannot be written: it is the same file as ${weights}, which is read`,
      });
    }
    expect(await readFile(weights)).toEqual(before);
  });

  test.runIf(existsSync("/dev/full"))("the disk is full", async () => {
    const weights = await store("w.safetensors");
    // The temporary file that the pack is written to first, on a device that is always full.
    await symlink("/dev/full", at(`.tiny.pack.${process.pid}.tmp`));
    const { code, message } = await problemOf(() => packModel(plan, [weights], at("tiny.pack")));
    expect(code).toBe("HIRE-PACK-008");
    expect(message).toContain(`${at("tiny.pack")} cannot be written: ENOSPC`);
    expect(await readdir(folder)).toEqual(["w.safetensors"]);
  });

  test("folders that were made for a pack that fails are removed, and those that were there stay", async () => {
    const failing = {
      ...WEIGHT,
      bytes: () => Promise.reject(new HireError({ code: "HIRE-PACK-001", message: "", fix: "" })),
    };
    await mkdir(at("there"));
    const work = () => writeSafetensors(at("there/new/deep/tiny.pack"), [failing], {}, "HIRE-PACK-008");
    expect((await problemOf(work)).code).toBe("HIRE-PACK-001");
    expect(await readdir(folder, { recursive: true })).toEqual(["there"]);
  });

  test("an old pack stays as it was when a new one fails", async () => {
    await writeFile(at("tiny.pack"), "old");
    await packProblem([at("none.safetensors")], at("tiny.pack"));
    expect(await readFile(at("tiny.pack"), "utf8")).toBe("old");
  });
});

test("all that is wrong with the weights of two layers is found before anything is written", async () => {
  const two = defineModel("two", {
    head: softmax({ ...SIZE, weight: "lm_head", estimator: quantized({ bits: 4 }) }),
    draft: softmax({ ...SIZE, weight: "draft", estimator: dense() }),
  });
  const weights = await store("w.safetensors", [{ ...WEIGHT, dtype: "F16" }]);
  const { diagnostics } = await failureOf(() => packModel(compileModel(two).plan, [weights], at("two.pack")));
  expect(diagnostics.map(({ code }) => code)).toEqual(["HIRE-PACK-005", "HIRE-PACK-003"]);
  expect(await readdir(folder)).toEqual(["w.safetensors"]);
  // No handle stays open on the weights.
  await (await open(weights, "r+")).close();
});
