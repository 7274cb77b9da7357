// What a program does with CUDA from Node beside `run`: its own memory, streams, events and graphs.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { runOnCuda } from "../../compiler/cli/doctor/cuda.ts";
import { prepareTrial } from "../../compiler/cli/doctor/trial.ts";
import { type CudaDevice, requestCudaDevice } from "../../runtime/cuda/device.ts";
import { type CudaModel, loadCudaModel } from "../../runtime/cuda/model.ts";
import { type Card, missing, openCard } from "./card.ts";
import { makeChain } from "./chain.ts";
import { type FloatTrial, trialInFloats } from "./trial.ts";

describe.skipIf(missing)(`CUDA from Node${missing ? `, skipped: ${missing}` : ""}`, () => {
  let card: Card;
  let device: CudaDevice;
  let trial: FloatTrial;
  let model: CudaModel;
  let atFirst: number;
  beforeAll(async () => {
    card = await openCard();
    device = card.device;
    trial = await trialInFloats();
  });
  beforeEach(async () => {
    atFirst = card.live();
    model = await loadCudaModel(device, trial.compiled, trial.weights);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    model.destroy();
    expect(card.live(), "what nobody has freed").toBe(atFirst);
  });
  afterAll(() => device?.close());

  test("layers chain on one stream, and nothing is done before somebody waits", async () => {
    const chain = makeChain(device, model);
    await chain.x.write(trial.x);
    const untouched = await chain.read();
    const stream = device.createStream();
    chain.encode(stream);
    await stream.finished();
    const found = await chain.read();
    expect(found).toEqual(await chain.expected(trial.x));
    expect(untouched).not.toEqual(found);
    stream.destroy();
    chain.destroy();
  });

  test.each([
    [
      "stream.finished",
      () => {
        const stream = device.createStream();
        return stream.finished().then(stream.destroy);
      },
    ],
    ["run", () => model.softmax("quantized").run(trial.x)],
  ] as const)("while %s waits for the card, Node goes on", async (_, wait) => {
    // The memory of a first run is there already, so that nothing waits for it.
    await model.softmax("quantized").run(trial.x);
    const longest = 250;
    vi.stubEnv("HIREC_CUDA_ON_CPU_DELAY_MS", String(longest));
    let last = performance.now();
    let gap = 0;
    const counter = setInterval(() => {
      gap = Math.max(gap, performance.now() - last);
      last = performance.now();
    }, 2);
    const started = performance.now();
    await wait();
    expect(performance.now() - started).toBeGreaterThanOrEqual(longest);
    gap = Math.max(gap, performance.now() - last);
    clearInterval(counter);
    expect(gap).toBeLessThan(longest);
  });

  test("a captured chain is launched again and again, and gives the same bits", async () => {
    const chain = makeChain(device, model);
    const graph = device.capture((stream) => chain.encode(stream));
    const stream = device.createStream();
    const other = trial.x.map((value) => -value);
    for (const x of [trial.x, other, trial.x]) {
      await chain.x.write(x);
      graph.launch(stream);
      await stream.finished();
      expect(await chain.read()).toEqual(await chain.expected(x));
    }
    graph.destroy();
    stream.destroy();
    chain.destroy();
  });

  test("capturing runs nothing, and ends whatever the work does", async () => {
    const chain = makeChain(device, model);
    const before = await chain.read();
    const graph = device.capture((stream) => chain.encode(stream));
    await device.stream.finished();
    expect(await chain.read()).toEqual(before);
    graph.destroy();
    const stop = new Error("stop");
    expect(() =>
      device.capture((stream) => {
        chain.encode(stream);
        throw stop;
      }),
    ).toThrow(stop);
    expect(() => device.capture(async (stream) => chain.encode(stream))).toThrow(/HIRE-RUN-004.*asynchronous/);
    const allocating = () => device.capture(() => void device.allocate("f32", 4));
    expect(allocating).toThrow(/HIRE-RUN-004: .*while allocating memory: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED/);
    expect(await model.softmax("quantized").run(trial.x)).toEqual(trial.expected.quantized);
    chain.destroy();
  });

  test("kernels work on the caller's own pointers and streams", async () => {
    const { batch, k, inputs } = model.softmax("dense").plan;
    const bytes = 4 * batch * (inputs + k + k);
    const base = device.call("test", (driver) => driver.allocate(bytes + 256));
    const handle = device.call("test", (driver) => driver.createStream());
    const stream = device.borrowStream(handle);
    // In the middle of an allocation, as the slices of a framework's tensors are.
    const x = base + 256n;
    const indices = x + BigInt(4 * batch * inputs);
    const values = indices + BigInt(4 * batch * k);
    const given = new Uint8Array(trial.x.buffer, 0, 4 * batch * inputs);
    device.call("test", (driver) => driver.copyToDevice(x, given, handle));
    model.softmax("dense").encode(stream, { x, indices, values });
    await stream.finished();
    const found = new Uint32Array(batch * k);
    device.call("test", (driver) => driver.copyToHost(new Uint8Array(found.buffer), indices, handle));
    await stream.finished();
    expect(found).toEqual(trial.expected.dense.indices);
    stream.destroy();
    device.call("test", (driver) => {
      // It was borrowed, so it is still there.
      driver.destroyStream(handle);
      driver.free(base);
    });
  });

  test("two models, and two runs of one layer, do not disturb each other", async () => {
    const other = await loadCudaModel(device, trial.compiled, trial.weights, { layers: ["ffn", "quantized"] });
    const reversed = trial.x.toReversed();
    const alone = await model.softmax("quantized").run(reversed);
    const [first, second, third, fourth] = await Promise.all([
      model.softmax("quantized").run(trial.x),
      model.softmax("quantized").run(reversed),
      other.softmax("quantized").run(trial.x),
      other.ffn("ffn").run(trial.x),
    ]);
    expect(first).toEqual(trial.expected.quantized);
    expect(second).toEqual(alone);
    expect(third).toEqual(trial.expected.quantized);
    expect(fourth).toEqual(trial.expected.ffn);
    other.destroy();
    expect(await model.softmax("quantized").run(trial.x)).toEqual(trial.expected.quantized);
  });

  test("a run of many tokens grows its memory, and a small one after it is as before", async () => {
    const { inputs } = model.softmax("quantized").plan;
    const many = new Float32Array(7 * inputs);
    for (let token = 0; token < 7; token++)
      many.set(trial.x.subarray((token % 2) * inputs, ((token % 2) + 1) * inputs), token * inputs);
    const { k } = model.softmax("quantized").plan;
    const { indices } = await model.softmax("quantized").run(many);
    for (let token = 0; token < 7; token++) {
      const wanted = trial.expected.quantized.indices.subarray((token % 2) * k, ((token % 2) + 1) * k);
      expect(indices.subarray(token * k, (token + 1) * k)).toEqual(wanted);
    }
    expect(await model.softmax("quantized").run(trial.x)).toEqual(trial.expected.quantized);
  });

  test("events measure what lies between them", async () => {
    const [start, end] = [device.createEvent(), device.createEvent()];
    const chain = makeChain(device, model);
    await chain.x.write(trial.x);
    const stream = device.createStream();
    start.record(stream);
    chain.encode(stream);
    end.record(stream);
    await end.finished();
    expect(end.since(start)).toBeGreaterThan(0);
    start.destroy();
    end.destroy();
    stream.destroy();
    chain.destroy();
  });

  test("doctor's trial runs there and says where", async () => {
    expect(await runOnCuda(await prepareTrial())).toBe(
      "CUDA on the CPU 0 (sm_90, 1.0 GiB, driver for CUDA 13.0); ran cuda-sm90 and matched the reference",
    );
  });

  test("a device says what it is, and there may be several", async () => {
    vi.stubEnv("HIREC_CUDA_ON_CPU_DEVICES", "2");
    vi.stubEnv("HIREC_CUDA_ON_CPU_CAPABILITY", "10.3");
    vi.stubEnv("HIREC_CUDA_ON_CPU_MEMORY", String(2 ** 33));
    const second = await requestCudaDevice({ ordinal: 1 });
    expect(second).toMatchObject({
      name: "CUDA on the CPU 1",
      capability: 103,
      memoryBytes: 2 ** 33,
      multiprocessors: 2,
      driverVersion: "13.0",
    });
    expect(second.memory().total).toBe(2 ** 33);
    second.close();
    // A card of the same kind takes the best of its profiles.
    expect(model.profile).toBe("cuda-sm90");
  });
});
