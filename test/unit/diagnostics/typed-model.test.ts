// The loader behind the typed bindings of a compiled model, on Dawn's null backend.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileModel } from "../../../compiler/index.ts";
import { defineModel, dense, greedy, multinomial, quantized, softmax } from "../../../dsl/index.ts";
import type { CompiledParts } from "../../../runtime/model.ts";
import { type NodeDevice, requestNullDevice } from "../../../runtime/node/device.ts";
import { BUFFER_USAGE } from "../../../runtime/webgpu/constants.ts";
import { type SoftmaxShape, typedLoader } from "../../../runtime/webgpu/typed-model.ts";
import { failureOf } from "./failure.ts";

const shape = { inputs: 64, rows: 256, weight: "w", k: 4, batch: 2 } as const;
const { plan, files } = compileModel(
  defineModel("tiny", {
    head: softmax({ ...shape, estimator: quantized({ bits: 4 }) }),
    draft: softmax({ ...shape, k: 1, estimator: dense() }),
  }),
);
const sources = Object.fromEntries(files);
const shapes = {
  head: { kind: "softmax", inputs: 64, rows: 256, dtype: "bf16", k: 4, batch: 2 },
  draft: { kind: "softmax", inputs: 64, rows: 256, dtype: "bf16", k: 1, batch: 2 },
} as const;
const weights = ({ bytes }: { bytes: number }) => new Uint8Array(bytes);

let node: NodeDevice;
beforeAll(async () => {
  node = await requestNullDevice();
});
afterAll(() => node.close());

type Heads = Readonly<Record<string, SoftmaxShape>>;

const load = (compiled: Partial<CompiledParts> = {}, expected: Heads = shapes, options = {}) =>
  typedLoader<Heads, string>(expected)(node.device, { plan, sources, ...compiled }, weights, options);

test("results say how many tokens there are and how many rows each has", async () => {
  const model = await load();
  const result = await model.layers.head!.run(new Float32Array(3 * 64));
  expect(result).toMatchObject({ tokens: 3, k: 4 });
  expect([result.indices.length, result.values.length]).toEqual([12, 12]);
  model.destroy();
});

test("a layer's buffers fit its launch, and are the caller's", async () => {
  const model = await load();
  const { head } = model.layers;
  const buffers = head!.createBuffers();
  expect([buffers.x.size, buffers.indices.size, buffers.values.size]).toEqual([2 * 64 * 4, 32, 32]);
  expect(buffers.x.usage).toBe(BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST);
  const encoder = node.device.createCommandEncoder();
  head!.encode(encoder, buffers);
  node.device.queue.submit([encoder.finish()]);
  model.destroy();
  expect(buffers.x.usage).not.toBe(0);
  for (const buffer of [buffers.x, buffers.indices, buffers.values]) buffer.destroy();
});

describe("sources may be", () => {
  test("a function, which is asked only for the kernels that run", async () => {
    const asked: string[] = [];
    const read = async (file: string) => {
      asked.push(file);
      return sources[file]!;
    };
    const model = await load({ sources: read }, shapes, { layers: ["draft"], profile: "webgpu-default" });
    expect(Object.keys(model.layers)).toEqual(["draft"]);
    expect(model.profile).toBe("webgpu-default");
    expect(asked.sort()).toEqual(["webgpu-default/draft.score_select.wgsl", "webgpu-default/draft.topk.wgsl"]);
    model.destroy();
  });

  test("texts by path, also with other folders in front as bundlers give them", async () => {
    const prefixed = Object.fromEntries(
      Object.entries(sources).map(([file, text]) => [`./generated/tiny/${file}`, text]),
    );
    (await load({ sources: prefixed })).destroy();
  });

  test("incomplete, which HIRE-PLAN-008 says with the file that is missing", async () => {
    for (const incomplete of [{}, () => undefined as never]) {
      const { diagnostics } = await failureOf(() => load({ sources: incomplete }, shapes, { layers: ["head"] }));
      expect(diagnostics).toMatchObject([
        { code: "HIRE-PLAN-008", message: expect.stringMatching(/lacks webgpu-subgroups\/head\.\w+\.wgsl/) },
      ]);
    }
  });
});

describe("HIRE-RUN-010 for a plan that the types were not made for", () => {
  test.each([
    ["another number", { ...shapes, head: { ...shapes.head, k: 5 } }, 'k of layer "head" is 4, not 5'],
    [
      "another dtype",
      { ...shapes, draft: { ...shapes.draft, dtype: "f32" } },
      'dtype of layer "draft" is bf16, not f32',
    ],
    ["an option more", { ...shapes, head: { ...shapes.head, mask: true } }, 'mask of layer "head" is absent, not true'],
    ["a layer less", { head: shapes.head }, "its layers are draft, head, not head"],
    ["a layer more", { ...shapes, tail: shapes.head }, "its layers are draft, head, not draft, head, tail"],
  ] as const)("%s", async (_, expected, difference) => {
    const { diagnostics } = await failureOf(() => load({}, expected));
    expect(diagnostics).toEqual([
      {
        code: "HIRE-RUN-010",
        message: `The plan of "tiny" is not the one that these bindings were compiled with: ${difference}`,
        fix: "Take plan, sources and index.ts from the same compiled folder; compile again when in doubt",
      },
    ]);
  });
});

test("a plan with an option that the types do not know of is refused with HIRE-RUN-010", async () => {
  const options = { certify: "report", mask: true, logSumExp: true, sample: greedy() } as const;
  for (const [option, says] of [
    ["certify", 'certify of layer "head" is report, not absent'],
    ["mask", 'mask of layer "head" is true, not absent'],
    ["logSumExp", 'logSumExp of layer "head" is candidates, not absent'],
    ["sample", 'sampler of layer "head" is greedy, not absent'],
  ] as const) {
    const head = softmax({ ...shape, estimator: quantized({ bits: 4 }), [option]: options[option] });
    const { plan } = compileModel(defineModel("tiny", { head }));
    const { code, message } = await failureOf(() => load({ plan }, { head: shapes.head }));
    expect(code).toBe("HIRE-RUN-010");
    expect(message).toContain(says);
  }
});

describe("a layer with options", () => {
  const { plan, files } = compileModel(
    defineModel("tiny", {
      head: softmax({
        ...{ ...shape, estimator: quantized({ bits: 4 }) },
        ...{ mask: true, logSumExp: true, sample: multinomial() },
      }),
    }),
  );
  const shapes = {
    head: {
      kind: "softmax",
      inputs: 64,
      rows: 256,
      dtype: "bf16",
      k: 4,
      batch: 2,
      mask: true,
      logSumExp: "candidates",
      sampler: "multinomial",
    },
  } as const;
  const loaded = () =>
    typedLoader<typeof shapes, string>(shapes)(node.device, { plan, sources: Object.fromEntries(files) }, weights);

  test("takes them and gives a number per token", async () => {
    const model = await loaded();
    const { head } = model.layers;
    const x = new Float32Array(3 * 64);
    const { lse, sampled } = await head.run(x, { mask: new Uint8Array(256), uniforms: new Float32Array(3) });
    expect([lse.length, sampled.length]).toEqual([3, 3]);
    const { code } = await failureOf(() => head.run(x, { uniforms: new Float32Array(2) }));
    expect(code).toBe("HIRE-RUN-002");
    model.destroy();
  });

  test("makes a buffer for each", async () => {
    const model = await loaded();
    const buffers = model.layers.head.createBuffers();
    const sizes = Object.entries(buffers).map(([name, buffer]) => [name, buffer.size]);
    expect(Object.fromEntries(sizes)).toEqual({
      ...{ x: 512, mask: 32, uniforms: 8 },
      ...{ indices: 32, values: 32, lse: 8, sampled: 8 },
    });
    model.layers.head.encode(node.device.createCommandEncoder(), buffers);
    for (const buffer of Object.values(buffers)) buffer.destroy();
    model.destroy();
  });
});

test("what is no plan is refused before anything of it is used, and so is an unknown layer", async () => {
  expect((await failureOf(() => load({ plan: {} }))).code).toBe("HIRE-PLAN-008");
  expect((await failureOf(() => load({}, shapes, { layers: ["tail"] }))).code).toBe("HIRE-RUN-008");
});
