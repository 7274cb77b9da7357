// A softmax layer as its users meet it: their buffers and encoders, several calls at once, and what is refused.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { create } from "webgpu";
import { dense, exact, quantized } from "../../dsl/index.ts";
import { HireError } from "../../runtime/errors.ts";
import { type NodeDevice, requestNodeDevice } from "../../runtime/node/device.ts";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { BUFFER_USAGE, MAP_READ } from "../../runtime/webgpu/constants.ts";
import { type GpuModel, loadModel } from "../../runtime/webgpu/model.ts";
import { type CompiledCase, compileCase, compileLayers, LAYER, packed } from "../cases/compile-case.ts";
import { integers, normals } from "../cases/fills.ts";
import { caseData, type SoftmaxCase } from "../cases/softmax-case.ts";
import { runKernels } from "./run-kernels.ts";

const CASE: SoftmaxCase = {
  name: "a layer as its users meet it",
  layer: { inputs: 40, rows: 200, dtype: "bf16", estimator: quantized({ bits: 4 }), k: 6, candidates: 24, batch: 3 },
  tokens: 10,
  weights: integers(9),
  inputs: integers(9),
  comparison: "exact",
};
const { inputs, k, batch } = { ...CASE.layer, batch: 3 };
const { STORAGE, COPY_DST, COPY_SRC } = BUFFER_USAGE;

let software: NodeDevice;
let device: GPUDevice;
let compiled: CompiledCase;
let model: GpuModel;
let wanted: { indices: Uint32Array; values: Float64Array };

beforeAll(async () => {
  software = await requestNodeDevice("software");
  device = software.device;
  compiled = compileCase(CASE);
  model = await loadModel(device, compiled, compiled.weights);
  const { indices, values } = await (await createReferenceSoftmax(LAYER, compiled.layer, compiled.weights)).run(
    compiled.data.x,
  );
  wanted = { indices, values };
});

afterAll(() => {
  model?.destroy();
  software?.close();
});

test("the best profile that the device supports is chosen, and another on request", async () => {
  expect(model.profile).toBe("webgpu-subgroups");
  const other = await loadModel(device, compiled, compiled.weights, { profile: "webgpu-default" });
  expect(other.profile).toBe("webgpu-default");
  other.destroy();
});

test("a device without subgroups runs webgpu-default with the same results", async () => {
  const instance = create([]);
  const adapter = await instance.requestAdapter();
  const plain = await adapter!.requestDevice();
  expect(plain.features.has("subgroups")).toBe(false);
  const loaded = await loadModel(plain, compiled, compiled.weights);
  expect(loaded.profile).toBe("webgpu-default");
  expect(numbers(await loaded.softmax(LAYER).run(compiled.data.x))).toEqual(numbers(wanted));
  await expectRefusal(
    loadModel(plain, compiled, compiled.weights, { profile: "webgpu-subgroups" }),
    "HIRE-RUN-006",
    "subgroups",
  );
  plain.destroy();
  // Held until here: a device does not keep its instance alive.
  expect(instance).toBeDefined();
});

test("fewer tokens than a batch, whole batches, and a batch and a part give each token the same", async () => {
  for (const tokens of [1, 2, 3, 4, 6, 7, 10]) {
    const found = await model.softmax(LAYER).run(compiled.data.x.subarray(0, tokens * inputs));
    expect(found.indices.length).toBe(tokens * k);
    expect(numbers(found)).toEqual(firstTokens(tokens));
  }
});

test("calls that overlap each get their own result", async () => {
  const x = compiled.data.x;
  const results = await Promise.all(
    Array.from({ length: 12 }, (_, i) =>
      model.softmax(LAYER).run(x.subarray((i % 8) * inputs, ((i % 8) + 1 + (i % 3)) * inputs)),
    ),
  );
  results.forEach((result, i) => {
    const from = i % 8;
    const all = firstTokens(from + 1 + (i % 3));
    expect(numbers(result)).toEqual({ indices: all.indices.slice(from * k), values: all.values.slice(from * k) });
  });
});

test("running again gives the same bits, for scores that are rounded too", async () => {
  const rounded = compileCase({ ...CASE, name: "rounded", weights: normals, inputs: normals, comparison: "rounded" });
  const loaded = await loadModel(device, rounded, rounded.weights);
  const first = await loaded.softmax(LAYER).run(rounded.data.x);
  for (let i = 0; i < 3; i++) expect(bits(await loaded.softmax(LAYER).run(rounded.data.x))).toEqual(bits(first));
  loaded.destroy();
});

test("what scratch and result buffers held before does not matter", async () => {
  const x = compiled.data.x.slice(0, batch * inputs);
  for (const profile of ["webgpu-subgroups", "webgpu-default"]) {
    const buffers = await runKernels(device, compiled, profile, x);
    expect([...buffers.get("indices")!]).toEqual(firstTokens(batch).indices);
  }
  // A token of NaN leaves the largest keys behind, in the layer's own scratch.
  await model.softmax(LAYER).run(new Float32Array(batch * inputs).fill(Number.NaN));
  expect(numbers(await model.softmax(LAYER).run(x))).toEqual(firstTokens(batch));
});

describe("with the caller's buffers and encoder", () => {
  test("a launch runs where the caller puts it, and larger buffers are left alone past their results", async () => {
    const buffers = {
      x: filled(compiled.data.x.slice(0, batch * inputs + 7)),
      indices: filled(new Uint32Array(batch * k + 5).fill(77)),
      values: filled(new Float32Array(batch * k + 5).fill(77)),
    };
    const encoder = device.createCommandEncoder();
    model.softmax(LAYER).encode(encoder, buffers);
    expect((await readBack(buffers.indices))[0], "nothing runs before it is submitted").toBe(77);
    device.queue.submit([encoder.finish()]);
    const expected = firstTokens(batch);
    const found = [...(await readBack(buffers.indices))];
    expect(found).toEqual([...expected.indices, 77, 77, 77, 77, 77]);
    const values = [...new Float32Array((await readBack(buffers.values)).buffer)];
    expect(values).toEqual([...expected.values, 77, 77, 77, 77, 77]);
    for (const buffer of Object.values(buffers)) buffer.destroy();
  });

  test("one layer's values are another's tokens in one submission, with nothing read back between", async () => {
    const first: SoftmaxCase = { ...CASE, name: "first", layer: { ...CASE.layer, batch: 2 }, tokens: 2 };
    // Reads the six values of the layer before.
    const second: SoftmaxCase = {
      ...CASE,
      name: "second",
      layer: { inputs: k, rows: 70, dtype: "f32", estimator: dense(), k: 5, select: exact(), batch: 2 },
    };
    const { plan, files } = compileLayers({ first: first.layer, second: second.layer });
    const data = { first: caseData(first), second: caseData(second) };
    const sources = Object.entries(data).map(([name, each]) => [name, packed(plan.layers[name]!, each)] as const);
    const weights = Object.fromEntries(sources);
    const chain = await loadModel(device, { plan, sources: Object.fromEntries(files) }, (tensor) =>
      weights[tensor.name.split(".")[0]!]!(tensor),
    );
    const x = filled(data.first.x);
    const [indices, values, chained, result] = [2 * k, 2 * k, 10, 10].map((words) =>
      filled(new Uint32Array(words)),
    ) as [GPUBuffer, GPUBuffer, GPUBuffer, GPUBuffer];
    const encoder = device.createCommandEncoder();
    chain.softmax("first").encode(encoder, { x, indices, values });
    chain.softmax("second").encode(encoder, { x: values, indices: chained, values: result });
    device.queue.submit([encoder.finish()]);

    const reference = async (name: "first" | "second", x: Float32Array) =>
      (await createReferenceSoftmax(name, plan.layers[name]!, weights[name]!)).run(x);
    const between = Float32Array.from((await reference("first", data.first.x)).values);
    const expected = await reference("second", between);
    expect([...(await readBack(chained))]).toEqual([...expected.indices]);
    expect([...new Float32Array((await readBack(result)).buffer)]).toEqual([...expected.values]);
    chain.destroy();
  });

  test("a buffer that is too small or lacks the usage is refused by name", () => {
    const right = {
      x: filled(new Float32Array(batch * inputs)),
      indices: filled(new Uint32Array(batch * k)),
      values: filled(new Float32Array(batch * k)),
    };
    const encoder = device.createCommandEncoder();
    for (const name of ["x", "indices", "values"] as const) {
      const small = filled(new Uint32Array(right[name].size / 4 - 1));
      const other = device.createBuffer({ size: right[name].size, usage: COPY_DST });
      for (const wrong of [small, other]) {
        const error = thrownBy(() => model.softmax(LAYER).encode(encoder, { ...right, [name]: wrong }));
        expect(error.code).toBe("HIRE-RUN-002");
        expect(error.message).toContain(`Buffer "${name}" of layer "${LAYER}"`);
      }
    }
    model.softmax(LAYER).encode(encoder, right);
  });
});

test.each([0, 1, inputs - 1, inputs + 1])(
  "an input of %i numbers is refused, since it is no whole number of tokens",
  async (length) => {
    await expectRefusal(model.softmax(LAYER).run(new Float32Array(length)), "HIRE-RUN-002", `has ${length} numbers`);
  },
);

test("running a layer whose buffers are destroyed is refused instead of returning zeros", async () => {
  const loaded = await loadModel(device, compiled, compiled.weights);
  loaded.destroy();
  await expectRefusal(loaded.softmax(LAYER).run(compiled.data.x), "HIRE-RUN-004", `running layer "${LAYER}"`);
  // The refusal is this call's alone.
  expect(numbers(await model.softmax(LAYER).run(compiled.data.x))).toEqual(numbers(wanted));
});

test("a lost device is reported by the call that meets it and by every later one", async () => {
  const own = await requestNodeDevice("software");
  const loaded = await loadModel(own.device, compiled, compiled.weights);
  const running = loaded.softmax(LAYER).run(compiled.data.x);
  own.close();
  await expectRefusal(running, "HIRE-RUN-005", "lost");
  await expectRefusal(loaded.softmax(LAYER).run(compiled.data.x), "HIRE-RUN-005", "lost");
});

test("a source broken by hand is refused with its kernel, file and line", async () => {
  const [kernel] = compiled.plan.programs[0]!.layers[LAYER]!.kernels;
  const lines = compiled.sources[kernel!.file]!.split("\n");
  const at = lines.findIndex((line) => line.includes("let bucket = workgroup_id.x;"));
  lines[at] = "  let bucket = no_such_name;";
  const sources = { ...compiled.sources, [kernel!.file]: lines.join("\n") };
  const loading = loadModel(device, { plan: compiled.plan, sources }, compiled.weights);
  await expectRefusal(
    loading,
    "HIRE-RUN-003",
    `kernel ${kernel!.name} (${kernel!.file}): line ${at + 1}:`,
    "let bucket = no_such_name;",
  );
});

test("a source whose bindings differ from the plan is refused", async () => {
  const kernel = compiled.plan.programs[0]!.layers[LAYER]!.kernels[0]!;
  const source = compiled.sources[kernel.file]!.replace(
    "@binding(0) var<storage, read>",
    "@binding(0) var<storage, read_write>",
  );
  const sources = { ...compiled.sources, [kernel.file]: source };
  await expectRefusal(
    loadModel(device, { plan: compiled.plan, sources }, compiled.weights),
    "HIRE-RUN-003",
    kernel.name,
  );
});

test("a missing source, an unknown layer and an unknown profile are refused by name", async () => {
  const kernel = Object.keys(compiled.sources).find((file) => file.endsWith(".wgsl"))!;
  const { [kernel]: _left, ...sources } = compiled.sources;
  await expectRefusal(loadModel(device, { plan: compiled.plan, sources }, compiled.weights), "HIRE-PLAN-008", "lacks");
  await expectRefusal(loadModel(device, compiled, compiled.weights, { layers: ["tail"] }), "HIRE-RUN-008", '"tail"');
  await expectRefusal(
    loadModel(device, compiled, compiled.weights, { layers: ["toString"] }),
    "HIRE-RUN-008",
    "toString",
  );
  await expectRefusal(loadModel(device, compiled, compiled.weights, { profile: "cuda" }), "HIRE-RUN-006", '"cuda"');
});

/** What the reference returns for the first tokens, as plain lists. */
function firstTokens(tokens: number) {
  return { indices: [...wanted.indices.slice(0, tokens * k)], values: [...wanted.values.slice(0, tokens * k)] };
}

function numbers({ indices, values }: { indices: Uint32Array; values: Float32Array | Float64Array }) {
  return { indices: [...indices], values: [...values] };
}

function bits({ indices, values }: { indices: Uint32Array; values: Float32Array | Float64Array }) {
  return [...indices, ...new Uint32Array(Float32Array.from(values).buffer)];
}

function filled(data: Float32Array | Uint32Array): GPUBuffer {
  const buffer = device.createBuffer({ size: data.byteLength, usage: STORAGE | COPY_DST | COPY_SRC });
  device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>);
  return buffer;
}

async function readBack(buffer: GPUBuffer): Promise<Uint32Array<ArrayBuffer>> {
  const copy = device.createBuffer({ size: buffer.size, usage: BUFFER_USAGE.MAP_READ | COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(MAP_READ);
  return new Uint32Array(copy.getMappedRange().slice(0));
}

function thrownBy(work: () => unknown): HireError {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof HireError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}

async function expectRefusal(promise: Promise<unknown>, code: string, ...parts: string[]): Promise<void> {
  const thrown = await promise.then(
    () => undefined,
    (reason) => reason,
  );
  expect(thrown).toBeInstanceOf(HireError);
  expect(thrown.code).toBe(code);
  for (const part of parts) expect(thrown.message).toContain(part);
}
