// What a CUDA device is asked and cannot do. After each refusal the context works as before, which is proven by running.

import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { requestCudaDevice } from "../../runtime/cuda/device.ts";
import { CudaCallError } from "../../runtime/cuda/driver.ts";
import { loadCudaDriver } from "../../runtime/cuda/libcuda.ts";
import type { CudaMemory } from "../../runtime/cuda/memory.ts";
import { type CompiledCuda, loadCudaModel } from "../../runtime/cuda/model.ts";
import type { SoftmaxMemory } from "../../runtime/cuda/softmax.ts";
import { failureOf } from "../unit/diagnostics/failure.ts";
import { type Card, missing, openCard } from "./card.ts";
import { type FloatTrial, trialInFloats } from "./trial.ts";

describe.skipIf(missing)(`refusals of CUDA devices${missing ? `, skipped: ${missing}` : ""}`, () => {
  let card: Card;
  let trial: FloatTrial;
  beforeAll(async () => {
    card = await openCard();
    trial = await trialInFloats();
  });
  afterEach(() => vi.unstubAllEnvs());
  afterAll(() => card?.device.close());

  const load = (changed: Partial<CompiledCuda> = {}, layers = ["dense"]) =>
    loadCudaModel(card.device, { ...trial.compiled, ...changed }, trial.weights, { layers });

  /** The refusal, after which everything is freed and the device runs as before. */
  async function refusal(work: () => unknown) {
    const before = card.live();
    const failure = await failureOf(work);
    vi.unstubAllEnvs();
    expect(card.live(), "what was not freed").toBe(before);
    const model = await load();
    expect(await model.softmax("dense").run(trial.x)).toEqual(trial.expected.dense);
    model.destroy();
    return failure.diagnostics[0]!;
  }

  describe("HIRE-RUN-001: no CUDA device", () => {
    test("no driver", async () => {
      vi.stubEnv("HIREC_LIBCUDA", "/none/libcuda.so.1");
      const { code, message } = await refusal(() => requestCudaDevice());
      expect(code).toBe("HIRE-RUN-001");
      expect(message).toMatch(/^The CUDA driver cannot be loaded: \/none\/libcuda\.so\.1: /);
    });

    test("a library that is no driver", async () => {
      vi.stubEnv("HIREC_LIBCUDA", process.env.HIREC_LIBNVRTC!);
      const { code, message } = await refusal(() => requestCudaDevice());
      expect(code).toBe("HIRE-RUN-001");
      expect(message).toContain("Cannot find function");
    });

    test("no device", async () => {
      vi.stubEnv("HIREC_CUDA_ON_CPU_DEVICES", "0");
      expect(await refusal(() => requestCudaDevice())).toMatchObject({
        code: "HIRE-RUN-001",
        message: "The CUDA driver finds no device: CUDA_ERROR_NO_DEVICE (100) from cuInit",
      });
    });

    test.each([1, -1, 0.5])("no device %d", async (ordinal) => {
      expect(await refusal(() => requestCudaDevice({ ordinal }))).toMatchObject({
        code: "HIRE-RUN-001",
        message: `There is no CUDA device ${ordinal}: there is 1 device, of ordinal 0`,
      });
    });
  });

  test("HIRE-RUN-006: a card before all profiles, and a model without CUDA", async () => {
    vi.stubEnv("HIREC_CUDA_ON_CPU_CAPABILITY", "7.5");
    const old = await requestCudaDevice();
    const { code, message } = await refusal(() => loadCudaModel(old, trial.compiled, trial.weights));
    expect(code).toBe("HIRE-RUN-006");
    expect(message).toContain('The device cannot run "doctor": cuda-sm100 needs sm_100 (CUDA on the CPU 0 is sm_75)');
    old.close();
    const { plan } = trial.compiled;
    const onlyWgsl = { ...plan, programs: plan.programs.filter(({ target }) => target === "wgsl") };
    expect((await refusal(() => load({ plan: onlyWgsl }))).message).toContain("was not compiled for CUDA, but for");
    expect(
      (await refusal(() => loadCudaModel(card.device, trial.compiled, trial.weights, { profile: "cuda-sm100" }))).code,
    ).toBe("HIRE-RUN-006");
  });

  describe("HIRE-RUN-013: too little memory", () => {
    const needed = () => {
      const { buffers } = trial.compiled.plan.programs.find(({ profile }) => profile === "cuda-sm90")!.layers.dense!;
      return buffers
        .filter(({ role }) => role !== "input" && role !== "output")
        .reduce((sum, { bytes }) => sum + Math.ceil(bytes / 256) * 256, 0);
    };

    test("for a layer: its name, the bytes it needs, and those that are free", async () => {
      vi.stubEnv("HIREC_CUDA_ON_CPU_MEMORY", String(needed() - 1));
      expect(await refusal(() => load())).toMatchObject({
        code: "HIRE-RUN-013",
        message: `Layer "dense" needs ${needed()} bytes of device memory, of which ${needed() - 1} of ${needed() - 1} are free on CUDA on the CPU 0`,
      });
    });

    test("for a run of a layer that is loaded, and for a buffer", async () => {
      const model = await load();
      vi.stubEnv("HIREC_CUDA_ON_CPU_MEMORY", String(needed() + 100));
      const { code, message } = await refusal(() => model.softmax("dense").run(trial.x));
      expect(code).toBe("HIRE-RUN-013");
      expect(message).toMatch(/^Running layer "dense" needs \d+ bytes of device memory, of which 100 of /);
      vi.stubEnv("HIREC_CUDA_ON_CPU_MEMORY", String(needed() + 100));
      expect((await refusal(() => card.device.allocate("u32", 26))).message).toMatch(
        /^A buffer of 26 u32 needs 104 bytes/,
      );
      model.destroy();
    });

    test("for what the driver itself allocates", async () => {
      const driver = await loadCudaDriver();
      const loadModule = () => {
        throw new CudaCallError("cuModuleLoadData", 2, "CUDA_ERROR_OUT_OF_MEMORY");
      };
      const full = await requestCudaDevice({ driver: { ...driver, loadModule } });
      expect(await refusal(() => loadCudaModel(full, trial.compiled, trial.weights))).toMatchObject({
        code: "HIRE-RUN-013",
        message: expect.stringMatching(/^The device ran out of memory while loading kernel \w+$/),
      });
      full.close();
    });

    test("a second layer that does not fit frees the first", async () => {
      vi.stubEnv("HIREC_CUDA_ON_CPU_MEMORY", String(needed() + 1000));
      expect((await refusal(() => load({}, ["dense", "ffn"]))).message).toMatch(/^Layer "ffn" needs/);
    });
  });

  describe("HIRE-RUN-012: an image that does not fit", () => {
    const image = (header: string) => ({
      images: async () => ({ image: Buffer.from(header.padEnd(64)), from: "the test" }),
    });

    test("one for another card", async () => {
      const { code, message } = await refusal(() => load(image("HIRECPU sm  80  10")));
      expect(code).toBe("HIRE-RUN-012");
      expect(message).toMatch(
        /^The image of kernel dense_score_select \(the test\) does not fit CUDA on the CPU 0, sm_90: CUDA_ERROR_NO_BINARY_FOR_GPU \(209\)/,
      );
    });

    test("something else", async () => {
      expect((await refusal(() => load(image("not an image")))).message).toContain("CUDA_ERROR_INVALID_IMAGE");
    });
  });

  test("HIRE-RUN-003: a source that does not compile, and one without its kernel", async () => {
    const { sources } = trial.compiled;
    const change = (from: string, to: string) => ({
      sources: Object.fromEntries(Object.entries(sources).map(([file, text]) => [file, text.replace(from, to)])),
    });
    const broken = await refusal(() => load(change("  unsigned int ", "  oops;\n  unsigned int ")));
    expect(broken.code).toBe("HIRE-RUN-003");
    expect(broken.message).toMatch(
      /^The CUDA compiler refuses kernel dense_\w+ \(cuda\/dense\.\w+\.cu\): line \d+: .* in `oops;`$/,
    );
    const renamed = await refusal(() => load(change(" dense_score_select(", " dense_other(")));
    expect(renamed.code).toBe("HIRE-RUN-003");
    expect(renamed.message).toMatch(/has no kernel of that name$/);
  });

  test("HIRE-RUN-002: memory of the caller's that a kernel must not get", async () => {
    const model = await load();
    const { batch, inputs, k } = model.softmax("dense").plan;
    const { device } = card;
    const x = device.allocate("f32", batch * inputs);
    const indices = device.allocate("u32", batch * k);
    const values = device.allocate("f32", batch * k);
    const integers = device.allocate("u32", batch * inputs);
    const destroyed = device.allocate("f32", batch * inputs);
    destroyed.destroy();
    const need = `Pass memory of this device for ${batch * inputs} f32`;
    const cases: readonly (readonly [unknown, RegExp])[] = [
      [undefined, /is not given/],
      [0n, /is the null pointer/],
      [destroyed, /is destroyed/],
      [x.pointer + 4n, /is at 0x[0-9a-f]+, which is not a multiple of 16/],
      [x.pointer + 16n, new RegExp(`has ${4 * batch * inputs - 16} bytes, but needs ${4 * batch * inputs}`)],
      [indices.pointer, new RegExp(`has ${4 * batch * k} bytes, but needs`)],
      [0x1000n, /is at 0x1000, where CUDA on the CPU 0 has no memory allocated/],
      [-16n, /is -16, which is no address/],
      [2n ** 64n, /which is no address/],
      [integers, /is u32, not f32/],
      [16, /is neither a CudaBuffer nor a bigint/],
    ];
    for (const [given, why] of cases) {
      const memory = { x: given as CudaMemory<"f32">, indices, values } as SoftmaxMemory;
      const { code, message, fix } = await refusal(() => model.softmax("dense").encode(device.stream, memory));
      expect(code).toBe("HIRE-RUN-002");
      expect(message).toMatch(/^Buffer "x" of layer "dense" /);
      expect(message).toMatch(why);
      expect(fix).toContain(need);
    }
    const twice = { x: values.pointer, indices, values } as SoftmaxMemory;
    const larger = device.allocate("f32", batch * inputs + batch * k);
    const overlapping = { x: larger, indices, values: larger.pointer + 16n } as SoftmaxMemory;
    expect((await refusal(() => model.softmax("dense").encode(device.stream, overlapping))).message).toBe(
      'Buffer "values" of layer "dense" overlaps buffer "x"',
    );
    expect((await refusal(() => model.softmax("dense").encode(device.stream, twice))).code).toBe("HIRE-RUN-002");
    expect((await refusal(() => x.write(new Float32Array(x.length + 1)))).message).toMatch(/do not fit into a buffer/);
    for (const buffer of [x, indices, values, integers, larger]) buffer.destroy();
    model.destroy();
  });

  test("HIRE-RUN-004: a stream, and a layer, that are gone", async () => {
    const model = await load();
    const { device } = card;
    const stream = device.createStream();
    stream.destroy();
    expect(await refusal(() => stream.finished())).toMatchObject({
      code: "HIRE-RUN-004",
      message: expect.stringContaining(
        "while waiting for a stream: CUDA_ERROR_INVALID_HANDLE (400) from cuEventRecord",
      ),
    });
    model.destroy();
    expect((await refusal(() => model.softmax("dense").run(trial.x))).code).toBe("HIRE-RUN-004");
  });

  test("HIRE-RUN-005: a kernel that writes where it must not ends all, and is named by what was done", async () => {
    const { sources } = trial.compiled;
    const changed = Object.fromEntries(
      Object.entries(sources).map(([file, text]) => [
        file,
        text.replace("values[token * K + rank] =", "values[token * K + rank + 65536u / 1024u] ="),
      ]),
    );
    const model = await load({ sources: changed });
    const failure = await failureOf(() => model.softmax("dense").run(trial.x));
    expect(failure).toMatchObject({ code: "HIRE-RUN-005" });
    expect(failure.message).toContain(
      'The device was lost while running layer "dense": CUDA_ERROR_LAUNCH_FAILED (719) from cuEventQuery',
    );
    // As on a card, nothing works from here on.
    expect((await failureOf(() => card.device.memory())).code).toBe("HIRE-RUN-005");
    card.mend();
    model.destroy();
  });
});
