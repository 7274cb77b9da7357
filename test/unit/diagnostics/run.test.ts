// Runs that cannot start, and devices that refuse or disappear. Dawn's null backend stands for the device: it validates
// everything and computes nothing.

import { mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { compileModel } from "../../../compiler/index.ts";
import { defineModel, dense, ffn, multinomial, quantized, softmax } from "../../../dsl/index.ts";
import type { Diagnostic } from "../../../runtime/errors.ts";
import type { LoadOptions } from "../../../runtime/model.ts";
import { type NodeDevice, requestNullDevice } from "../../../runtime/node/device.ts";
import { packModel } from "../../../runtime/node/pack-file.ts";
import { type RunOptions, runFile } from "../../../runtime/node/run-file.ts";
import { writeSafetensors } from "../../../runtime/node/safetensors-file.ts";
import { type TensorToWrite, tensorBytes } from "../../../runtime/safetensors.ts";
import { BUFFER_USAGE } from "../../../runtime/webgpu/constants.ts";
import { loadModel } from "../../../runtime/webgpu/model.ts";
import { pickProgram } from "../../../runtime/webgpu/program.ts";
import { failureOf } from "./failure.ts";

const INPUTS = 64;
const layer = (weight: string) => softmax({ inputs: INPUTS, rows: 256, weight, estimator: dense(), k: 4 });
const { plan, files } = compileModel(defineModel("tiny", { head: layer("lm_head"), draft: layer("lm_head") }));
const compiled = { plan, sources: Object.fromEntries(files) };
const cuda = compileModel(defineModel("tiny", { head: layer("lm_head"), draft: layer("lm_head") }), {
  targets: ["cuda"],
}).plan;

async function problemOf(work: () => unknown): Promise<Diagnostic> {
  const { diagnostics } = await failureOf(work);
  expect(diagnostics).toHaveLength(1);
  return diagnostics[0]!;
}

describe("a run from files is refused before anything is written", () => {
  let folder: string;
  const at = (name: string) => join(folder, name);
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "hirec-run-"));
    await store("w.safetensors", [{ name: "lm_head", dtype: "BF16", shape: [256, INPUTS] }]);
    await packModel(plan, [at("w.safetensors")], at("tiny.pack"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const store = (name: string, tensors: readonly TensorToWrite[]) =>
    writeSafetensors(
      at(name),
      tensors.map((tensor) => ({ ...tensor, bytes: () => new Uint8Array(tensorBytes(tensor)) })),
      {},
      "HIRE-RUN-009",
    );
  const run = (options: Partial<RunOptions> = {}) =>
    runFile(compiled, {
      pack: at("tiny.pack"),
      input: at("x.safetensors"),
      output: at("y.safetensors"),
      device: "reference",
      ...options,
    });
  const input = (name: string, shape: readonly number[], dtype: TensorToWrite["dtype"] = "F32") =>
    store("x.safetensors", [{ name, dtype, shape }]);

  test("a good input runs", async () => {
    await input("head.input", [3, INPUTS]);
    expect((await run()).layers).toEqual([{ layer: "head", tokens: 3 }]);
    expect(await readdir(folder)).toContain("y.safetensors");
  });

  test("HIRE-RUN-002 when the file holds no input for any layer, or not for the layer that was asked for", async () => {
    await input("x", [1, INPUTS]);
    expect(await problemOf(() => run())).toEqual({
      code: "HIRE-RUN-002",
      message: `${at("x.safetensors")} holds no input for "tiny"`,
      fix: 'Store the tokens as tensor "head.input" or "draft.input", F32 [tokens, inputs]',
    });
    await input("head.input", [1, INPUTS]);
    expect(await problemOf(() => run({ layer: "draft" }))).toMatchObject({
      code: "HIRE-RUN-002",
      message: `${at("x.safetensors")} holds no tensor "draft.input"`,
    });
  });

  test.each([
    { what: "another width", shape: [2, 32], dtype: "F32" },
    { what: "one dimension", shape: [INPUTS], dtype: "F32" },
    { what: "another dtype", shape: [2, INPUTS], dtype: "F16" },
    { what: "no tokens", shape: [0, INPUTS], dtype: "F32" },
  ] as const)("HIRE-RUN-002 for an input of $what: $dtype $shape", async ({ shape, dtype }) => {
    await input("head.input", shape, dtype);
    expect(await problemOf(() => run())).toEqual({
      code: "HIRE-RUN-002",
      message: `Tensor "head.input" in ${at("x.safetensors")} is ${dtype} [${shape}], not F32 [tokens, 64]`,
      fix: 'Store the tokens as tensor "head.input", F32 [tokens, 64], with at least one token',
    });
    expect(await readdir(folder)).not.toContain("y.safetensors");
  });

  describe("HIRE-RUN-002 for what a layer takes besides tokens", () => {
    const shape = { inputs: INPUTS, rows: 256, weight: "lm_head", estimator: dense(), k: 4 } as const;
    const { plan, files } = compileModel(
      defineModel("tiny", {
        head: softmax({ ...shape, mask: true, sample: multinomial() }),
        plain: softmax(shape),
        mlp: ffn({
          ...{ inputs: INPUTS, hidden: 8, estimator: quantized({ bits: 8 }), k: 1, activation: (z) => z },
          weights: { gate: "up", up: "up", down: "down" },
        }),
      }),
    );
    const options = { sources: Object.fromEntries(files), plan };
    beforeEach(async () => {
      await store("w.safetensors", [
        { name: "lm_head", dtype: "BF16", shape: [256, INPUTS] },
        { name: "up", dtype: "BF16", shape: [8, INPUTS] },
        { name: "down", dtype: "BF16", shape: [INPUTS, 8] },
      ]);
      await packModel(plan, [at("w.safetensors")], at("tiny.pack"));
    });
    const runWith = async (layer: string, tensors: Readonly<Record<string, Float32Array | Uint8Array>>) => {
      const x = { name: `${layer}.input`, dtype: "F32" as const, shape: [3, INPUTS], bytes: () => new Uint8Array(768) };
      const given = Object.entries(tensors).map(([name, values]) => ({
        name: `${layer}.${name}`,
        dtype: values instanceof Uint8Array ? ("U8" as const) : ("F32" as const),
        shape: [values.length],
        bytes: () => new Uint8Array(values.buffer),
      }));
      await writeSafetensors(at("x.safetensors"), [x, ...given], {}, "HIRE-RUN-009");
      const [pack, input, output] = [at("tiny.pack"), at("x.safetensors"), at("y.safetensors")];
      return runFile(options, { pack, input, output, device: "reference" });
    };
    const uniforms = new Float32Array(3);

    test.each([
      ["head", {}, 'FILE holds no tensor "head.uniforms", by which layer "head" draws rows'],
      ["head", { uniforms: new Float32Array(2) }, 'Tensor "head.uniforms" in FILE is F32 [2], not F32 [3]'],
      ["head", { uniforms: new Uint8Array(3) }, 'Tensor "head.uniforms" in FILE is U8 [3], not F32 [3]'],
      ["head", { uniforms: Float32Array.of(0, 1.5, 0) }, 'Tensor "head.uniforms" in FILE is 1.5 for token 1'],
      ["head", { uniforms: Float32Array.of(0, 0, Number.NaN) }, 'Tensor "head.uniforms" in FILE is NaN for token 2'],
      ["head", { uniforms, mask: new Uint8Array(255) }, 'Tensor "head.mask" in FILE is U8 [255], not U8 [256]'],
      ["head", { uniforms, mask: new Float32Array(256) }, 'Tensor "head.mask" in FILE is F32 [256], not U8 [256]'],
      [
        "head",
        { uniforms, mask: new Uint8Array(256).fill(7, 9) },
        'Tensor "head.mask" in FILE is 7 for row 9, which is neither 0 nor 1',
      ],
      [
        "plain",
        { mask: new Uint8Array(256) },
        'FILE holds a tensor "plain.mask", but layer "plain" was compiled without a mask',
      ],
      ["plain", { uniforms }, 'FILE holds a tensor "plain.uniforms", but layer "plain" does not draw at random'],
      [
        "mlp",
        { mask: new Uint8Array(8) },
        'FILE holds a tensor "mlp.mask", but layer "mlp" was compiled without a mask',
      ],
    ])("%s: %j", async (layer, tensors, message) => {
      const problem = await problemOf(() => runWith(layer, tensors));
      expect(problem).toMatchObject({ code: "HIRE-RUN-002", message: message.replace("FILE", at("x.safetensors")) });
      expect(problem.fix).toMatch(
        layer === "head"
          ? /^Store .* (F32 \[3\]|U8 \[256\]),/
          : layer === "plain"
            ? /^Add \w+: /
            : /^Leave the tensor out$/,
      );
      expect(await readdir(folder)).not.toContain("y.safetensors");
    });

    test("none of which is in the way of an input that is right, or of a number that was rounded up to 1", async () => {
      const right = { uniforms: Float32Array.of(0, 0.5, 1), mask: new Uint8Array(256).fill(1) };
      expect((await runWith("head", right)).layers).toEqual([{ layer: "head", tokens: 3 }]);
    });
  });

  test("HIRE-RUN-008 names the layers that there are", async () => {
    await input("head.input", [1, INPUTS]);
    for (const name of ["tail", "constructor", "__proto__"]) {
      expect(await problemOf(() => run({ layer: name }))).toEqual({
        code: "HIRE-RUN-008",
        message: `"tiny" has no layer "${name}"`,
        fix: "Use one of: head, draft",
      });
    }
  });

  test("HIRE-RUN-009 when the output's folder is a file, or the output is no file", async () => {
    await input("head.input", [1, INPUTS]);
    const before = await readdir(folder);
    const below = await problemOf(() => run({ output: at("x.safetensors/y.safetensors") }));
    expect(below.code).toBe("HIRE-RUN-009");
    expect(below.message).toMatch(/x\.safetensors\/y\.safetensors cannot be written: (ENOTDIR|EEXIST)/);
    expect(await problemOf(() => run({ output: folder }))).toMatchObject({
      code: "HIRE-RUN-009",
      message: `${folder} cannot be written: it is a folder`,
    });
    expect(await readdir(folder)).toEqual(before);
    await symlink("/dev/null", at("null"));
    expect(await problemOf(() => run({ output: at("null") }))).toMatchObject({
      code: "HIRE-RUN-009",
      message: `${at("null")} cannot be written: it is not a regular file`,
    });
  });

  test("HIRE-RUN-009 when the output would replace the input or the pack", async () => {
    await input("head.input", [1, INPUTS]);
    for (const file of [at("x.safetensors"), at("tiny.pack")]) {
      expect(await problemOf(() => run({ output: file }))).toMatchObject({
        code: "HIRE-RUN-009",
        message: `${file} cannot be written: it is the same file as ${file}, which is read`,
      });
    }
  });

  test("the codes of a bad pack or input file pass through", async () => {
    await writeFile(at("x.safetensors"), "short");
    expect((await problemOf(() => run())).code).toBe("HIRE-PACK-002");
    await input("head.input", [1, INPUTS]);
    expect((await problemOf(() => run({ pack: at("w.safetensors") }))).code).toBe("HIRE-PACK-006");
  });
});

describe("a device that cannot run the model, or stops running it", () => {
  let node: NodeDevice;
  beforeAll(async () => {
    node = await requestNullDevice();
  });
  afterAll(() => node.close());
  const weights = ({ bytes }: { bytes: number }) => new Uint8Array(bytes);
  const load = (options: LoadOptions = {}, device = node.device) =>
    loadModel(device, compiled, weights, { layers: ["head"], ...options });

  test("HIRE-RUN-002 for an x that is not whole tokens, or no Float32Array", async () => {
    const model = await load();
    const message = 'The input of layer "head" has 65 numbers, which is not a whole number of tokens of 64';
    const head = model.softmax("head");
    expect(await problemOf(() => head.run(new Float32Array(65)))).toMatchObject({ code: "HIRE-RUN-002", message });
    expect((await problemOf(() => head.run(new Float32Array(0)))).message).toContain("has 0 numbers");
    for (const x of [undefined, null, new Float64Array(INPUTS), new Array(INPUTS).fill(0)]) {
      expect(await problemOf(() => head.run(x as never))).toEqual({
        code: "HIRE-RUN-002",
        message: 'The input of layer "head" is not a Float32Array',
        fix: "Pass a Float32Array of shape [tokens, 64] with at least one token",
      });
    }
    model.destroy();
  });

  test("HIRE-RUN-002 for a buffer of the caller's that is missing, too small or not for storage", async () => {
    const { device } = node;
    const model = await load();
    const x = device.createBuffer({ size: INPUTS * 4, usage: BUFFER_USAGE.STORAGE });
    const small = device.createBuffer({ size: 8, usage: BUFFER_USAGE.STORAGE });
    const other = device.createBuffer({ size: 16, usage: BUFFER_USAGE.COPY_DST });
    for (const [buffers, says] of [
      [{}, 'Buffer "x" of layer "head" is not given, but needs 256 bytes and STORAGE'],
      [{ x, indices: small }, '"indices" of layer "head" has 8 bytes and usage 128, but needs 16 bytes and STORAGE'],
      [{ x, indices: other }, '"indices" of layer "head" has 16 bytes and usage 8, but needs 16 bytes and STORAGE'],
    ] as const) {
      const work = () => model.softmax("head").encode(device.createCommandEncoder(), buffers as never);
      const { code, message } = await problemOf(work);
      expect(code).toBe("HIRE-RUN-002");
      expect(message).toContain(says);
    }
    model.destroy();
  });

  test("HIRE-RUN-003 names kernel, file, line and text of a source that the device refuses", async () => {
    const file = "webgpu-default/head.score_select.wgsl";
    const source = compiled.sources[file]!;
    const line = source.slice(0, source.indexOf("@compute")).split("\n").length;
    const broken = { plan, sources: { ...compiled.sources, [file]: source.replace("@compute", "@compute oops") } };
    const options = { profile: "webgpu-default", layers: ["head"] };
    const { code, message } = await problemOf(() => loadModel(node.device, broken, weights, options));
    expect(code).toBe("HIRE-RUN-003");
    expect(message).toMatch(
      new RegExp(`^The device refuses kernel head_score_select \\(${file}\\): line ${line}: .* in \`@compute oops`),
    );
  });

  test("HIRE-RUN-003 also when the source binds other buffers than its plan", async () => {
    const file = "webgpu-default/head.score_select.wgsl";
    const moved = compiled.sources[file]!.replace("@binding(1)", "@binding(9)");
    const broken = { plan, sources: { ...compiled.sources, [file]: moved } };
    const options = { profile: "webgpu-default", layers: ["head"] };
    const { code, message } = await problemOf(() => loadModel(node.device, broken, weights, options));
    expect(code).toBe("HIRE-RUN-003");
    expect(message).toContain(`The device refuses kernel head_score_select (${file}): Binding doesn't exist`);
  });

  test("HIRE-RUN-004 says what was refused, and while doing what", async () => {
    const model = await load();
    model.destroy();
    const { code, message } = await problemOf(() => model.softmax("head").run(new Float32Array(INPUTS)));
    expect(code).toBe("HIRE-RUN-004");
    expect(message).toMatch(/^The device refused a command while running layer "head": .*"head\.\w+".* destroyed/);
    // A message is one line and ends without a full stop; the fix follows it.
    expect(message).toMatch(/^.*[^.\s]$/);
  });

  test("HIRE-RUN-005 when the device is lost before loading, or before running", async () => {
    const { device, close } = await requestNullDevice();
    const model = await load({}, device);
    close();
    expect(await problemOf(() => model.softmax("head").run(new Float32Array(INPUTS)))).toMatchObject({
      code: "HIRE-RUN-005",
      message: expect.stringMatching(/^The device was lost while running layer "head": ./),
    });
    expect((await problemOf(() => load({}, device))).code).toBe("HIRE-RUN-005");
  });

  test("HIRE-RUN-006 names the feature and the limit that the device lacks", async () => {
    const limits = { ...plan.programs[0]!.limits, maxComputeWorkgroupStorageSize: 1024 };
    const poor = { features: new Set(), limits } as unknown as GPUDevice;
    expect((await problemOf(() => load({}, poor))).message).toBe(
      'The device cannot run "tiny": webgpu-subgroups needs feature subgroups and maxComputeWorkgroupStorageSize 16384 (it has 1024); webgpu-default needs maxComputeWorkgroupStorageSize 16384 (it has 1024)',
    );
    expect((await problemOf(() => load({ profile: "webgpu-subgroups" }, poor))).message).not.toContain(
      "webgpu-default",
    );
  });

  test("HIRE-RUN-006 for a profile that the model was not compiled for", async () => {
    expect(await problemOf(() => load({ profile: "webgpu-f16" }))).toMatchObject({
      code: "HIRE-RUN-006",
      message: '"tiny" was not compiled for profile "webgpu-f16", but for: webgpu-subgroups, webgpu-default',
    });
  });

  test("HIRE-RUN-006 for a model that was compiled for CUDA only; CUDA programs beside others are passed over", async () => {
    const only = { plan: cuda, sources: {} };
    const noWeights = () => new Uint8Array();
    expect(await problemOf(() => loadModel(node.device, only, noWeights))).toMatchObject({
      code: "HIRE-RUN-006",
      message: '"tiny" was not compiled for WebGPU, but for: cuda-sm100, cuda-sm90, cuda-sm80',
    });
    const both = { ...plan, programs: [...cuda.programs, ...plan.programs] };
    expect(pickProgram(both, node.device).target).toBe("wgsl");
  });

  test("HIRE-RUN-008 for a layer that the model does not have", async () => {
    expect((await problemOf(() => load({ layers: ["tail"] }))).code).toBe("HIRE-RUN-008");
  });

  test("HIRE-PACK-006, and no buffer left on the device, when the weights are too short", async () => {
    const live = new Set<GPUBuffer>();
    const device = new Proxy(node.device, {
      get: (target, name) => {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== "function") return value;
        if (name !== "createBuffer") return value.bind(target);
        return (descriptor: GPUBufferDescriptor) => {
          const buffer = target.createBuffer(descriptor);
          live.add(buffer);
          const destroy = buffer.destroy.bind(buffer);
          buffer.destroy = () => {
            live.delete(buffer);
            return destroy();
          };
          return buffer;
        };
      },
    });
    const options = { layers: ["head"] };
    const { code } = await problemOf(() => loadModel(device, compiled, () => new Uint8Array(4), options));
    expect(code).toBe("HIRE-PACK-006");
    expect(live.size).toBe(0);
  });
});
