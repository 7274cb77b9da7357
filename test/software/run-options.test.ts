// A head with every option as it is run from files: what it takes besides tokens is read, cut into parts with them, and what
// it gives besides rows is written.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compileModel } from "../../compiler/index.ts";
import { defineModel, dense, multinomial, softmax } from "../../dsl/index.ts";
import { NO_ROW, type SoftmaxResult } from "../../runtime/layer.ts";
import { openPack, packModel } from "../../runtime/node/pack-file.ts";
import { runFile } from "../../runtime/node/run-file.ts";
import { openSafetensors, writeSafetensors } from "../../runtime/node/safetensors-file.ts";
import type { SoftmaxPlan } from "../../runtime/plan.ts";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { integer, mulberry32 } from "../cases/random.ts";

const shape = { inputs: 12, rows: 90, dtype: "f32", k: 5, batch: 2 } as const;
const { plan, files } = compileModel(
  defineModel("options", {
    head: softmax({
      ...{ ...shape, weight: "w", bias: "b", estimator: dense() },
      ...{ mask: true, temperature: 8, logSumExp: true, sample: multinomial() },
    }),
  }),
  { profiles: ["webgpu-default"] },
);
const compiled = { plan, sources: Object.fromEntries(files) };

/** Two whole parts and one that is not. */
const TOKENS = 2 * 8 * shape.batch + 3;
const random = mulberry32(11);
const integers = (length: number) => Float32Array.from({ length }, () => integer(random, -4, 4));
const data = { w: integers(shape.rows * shape.inputs), b: integers(shape.rows), x: integers(TOKENS * shape.inputs) };
// Away from where rounding might draw another row, and in every part in another order.
const uniforms = Float32Array.from({ length: TOKENS }, (_, token) => (token % 3 ? 0.9999 : 0.0001));

let folder: string;
const at = (name: string) => join(folder, `${name}.safetensors`);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-run-options-"));
  const weights = [tensor("w", [shape.rows, shape.inputs], data.w), tensor("b", [shape.rows], data.b)];
  await writeSafetensors(at("w"), weights, {}, "HIRE-PACK-008");
  await packModel(plan, [at("w")], at("pack"));
});
afterAll(() => rm(folder, { recursive: true }));

test.each([
  ["with a mask", Uint8Array.from({ length: shape.rows }, (_, row) => Number(row % 3 === 1))],
  ["with a mask that leaves fewer rows than k", Uint8Array.from({ length: shape.rows }, (_, row) => Number(row < 2))],
  ["without the mask that it may have", undefined],
] as const)("a file that is run %s gives the same on the reference and on the device", async (_, mask) => {
  const inputs = [
    tensor("head.input", [TOKENS, shape.inputs], data.x),
    tensor("head.uniforms", [TOKENS], uniforms),
    ...(mask ? [tensor("head.mask", [shape.rows], mask)] : []),
  ];
  await writeSafetensors(at("x"), inputs, {}, "HIRE-RUN-009");
  const pack = await openPack(at("pack"), plan);
  const reference = await createReferenceSoftmax("head", plan.layers.head as SoftmaxPlan, pack.weights);
  const wanted: SoftmaxResult = await reference.run(data.x, { uniforms, ...(mask && { mask }) });
  await pack.close();
  expect(new Set(wanted.sampled).size, "the numbers matter").toBeGreaterThan(1);
  expect(wanted.indices.includes(NO_ROW)).toBe(mask !== undefined && mask[2] === 0 && mask[0] === 1);

  for (const device of ["reference", "software"] as const) {
    await runFile(compiled, { pack: at("pack"), input: at("x"), output: at(device), device });
    const found = await openSafetensors(at(device));
    const described = [...found.tensors.values()].map(({ name, dtype, shape }) => `${name} ${dtype} [${shape}]`);
    expect(described.sort()).toEqual([
      `head.indices U32 [${TOKENS},${shape.k}]`,
      `head.lse F32 [${TOKENS}]`,
      `head.sampled U32 [${TOKENS}]`,
      `head.values F32 [${TOKENS},${shape.k}]`,
    ]);
    const read = async (name: string) => (await found.read(found.tensors.get(`head.${name}`)!)).buffer;
    expect(new Uint32Array(await read("indices"))).toEqual(wanted.indices);
    expect(new Uint32Array(await read("sampled"))).toEqual(wanted.sampled);
    expect(new Float32Array(await read("values"))).toEqual(Float32Array.from(wanted.values));
    const sums = new Float32Array(await read("lse"));
    sums.forEach((sum, token) => {
      expect(sum).toBeCloseTo(wanted.lse![token]!, 4);
    });
    await found.close();
  }
});

function tensor(name: string, shape: readonly number[], values: Float32Array | Uint8Array) {
  const dtype = values instanceof Uint8Array ? ("U8" as const) : ("F32" as const);
  return { name, dtype, shape, bytes: () => new Uint8Array(values.buffer) };
}
