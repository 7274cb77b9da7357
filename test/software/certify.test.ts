// Certified layers as their users meet them: in files, with their own buffers, and in the typed bindings.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compileModel } from "../../compiler/index.ts";
import { defineModel, quantized, softmax } from "../../dsl/index.ts";
import { type NodeDevice, requestNodeDevice } from "../../runtime/node/device.ts";
import { packModel } from "../../runtime/node/pack-file.ts";
import { runFile } from "../../runtime/node/run-file.ts";
import { openSafetensors, writeSafetensors } from "../../runtime/node/safetensors-file.ts";
import type { SoftmaxPlan } from "../../runtime/plan.ts";
import { typedLoader } from "../../runtime/webgpu/typed-model.ts";
import { packed } from "../cases/compile-case.ts";
import { encode } from "../cases/dtypes.ts";
import { mulberry32, normal } from "../cases/random.ts";

const shape = { inputs: 24, rows: 300, dtype: "f32", k: 3, batch: 4 } as const;
const { plan, files } = compileModel(
  defineModel("proofs", {
    head: softmax({ ...shape, weight: "w", estimator: quantized({ bits: 8 }), candidates: 20, certify: "fallback" }),
  }),
  { profiles: ["webgpu-default"] },
);
const compiled = { plan, sources: Object.fromEntries(files) };

const random = mulberry32(3);
const weights = Float32Array.from({ length: shape.rows * shape.inputs }, () => normal(random));
// Every other token is near to three rows that are far longer than the others; the rest are zeros, of which all rows tie.
for (const row of [17, 100, 211]) weights.fill(5 + row / 1000, row * shape.inputs, (row + 1) * shape.inputs);
const TOKENS = 7;
const x = Float32Array.from({ length: TOKENS * shape.inputs }, (_, i) => (Math.floor(i / shape.inputs) % 2 ? 0 : 1));
const FLAGS = [1, 0, 1, 0, 1, 0, 1];
const ROWS = FLAGS.flatMap((flag) => (flag ? [211, 100, 17] : [0, 1, 2]));

let folder: string;
let software: NodeDevice;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-certify-"));
  software = await requestNodeDevice("software");
});
afterAll(async () => {
  software.close();
  await rm(folder, { recursive: true });
});

const bytesOf = ({ buffer }: Float32Array) => new Uint8Array(buffer);

test("a file that is run gets a flag per token, on the device and on the reference, and the summary counts them", async () => {
  const [model, pack, input] = ["w", "pack", "x"].map((name) => join(folder, `${name}.safetensors`)) as [
    string,
    string,
    string,
  ];
  const tensor = (name: string, data: Float32Array, rows: number) => ({
    name,
    dtype: "F32" as const,
    shape: [rows, shape.inputs],
    bytes: () => bytesOf(data),
  });
  await writeSafetensors(model, [tensor("w", weights, shape.rows)], {}, "HIRE-PACK-008");
  await writeSafetensors(input, [tensor("head.input", x, TOKENS)], {}, "HIRE-RUN-009");
  await packModel(plan, [model], pack);
  for (const device of ["software", "reference"] as const) {
    const output = join(folder, `${device}.safetensors`);
    const summary = await runFile(compiled, { pack, input, output, device });
    expect(summary.layers).toEqual([{ layer: "head", tokens: TOKENS, certified: 4 }]);
    const file = await openSafetensors(output);
    const flags = file.tensors.get("head.certified")!;
    expect([flags.dtype, flags.shape]).toEqual(["U8", [TOKENS]]);
    expect([...(await file.read(flags))]).toEqual(FLAGS);
    const indices = await file.read(file.tensors.get("head.indices")!);
    expect([...new Uint32Array(indices.buffer, indices.byteOffset, TOKENS * 3)]).toEqual(ROWS);
    await file.close();
  }
});

test("typed bindings make the buffer of flags, and encoding without it is refused", async () => {
  const shapes = { head: { kind: "softmax", ...shape, certify: "fallback" } } as const;
  const load = typedLoader<typeof shapes, "webgpu-default">(shapes);
  const source = packed(plan.layers.head as SoftmaxPlan, { weightBytes: encode(weights, "f32") });
  const model = await load(software.device, compiled, source);
  const buffers = model.layers.head.createBuffers();
  expect(buffers.certified.size).toBe(16);
  const encoder = software.device.createCommandEncoder();
  const { certified: _, ...without } = buffers;
  // @ts-expect-error: a certified layer needs the buffer of flags.
  expect(() => model.layers.head.encode(encoder, without)).toThrow(/Buffer "certified" of layer "head" is not given/);
  model.layers.head.encode(encoder, buffers);
  software.device.queue.submit([encoder.finish()]);
  expect([...(await model.layers.head.run(x)).certified]).toEqual(FLAGS);
  model.destroy();

  const other = { head: { ...shapes.head, certify: "report" } } as const;
  await expect(typedLoader<typeof other, never>(other)(software.device, compiled, source)).rejects.toThrow(
    /certify of layer "head" is fallback, not report/,
  );
});
