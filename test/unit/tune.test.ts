// The search for the fastest schedule, on a device that is made up: what it takes, what it refuses, what it writes down.

import { describe, expect, it } from "vitest";
import { check } from "../../compiler/check.ts";
import { planLayers } from "../../compiler/plan-layers.ts";
import { PROFILES } from "../../compiler/profiles.ts";
import { DEVICE_TIME } from "../../compiler/tune/race.ts";
import { randomInputs, randomWeights } from "../../compiler/tune/random-layer.ts";
import { findDifference } from "../../compiler/tune/same-result.ts";
import { stepsOf } from "../../compiler/tune/steps.ts";
import { formatTime, isFaster, timingOf } from "../../compiler/tune/timing.ts";
import type { TuneDevice } from "../../compiler/tune/tune-device.ts";
import { tuneLayer } from "../../compiler/tune/tune-layer.ts";
import { defineModel, ffn, lowRank, multinomial, quantized, softmax } from "../../dsl/index.ts";
import { HireError } from "../../runtime/errors.ts";
import type { FfnPlan, SoftmaxPlan, TensorPlan, TuningPlan } from "../../runtime/plan.ts";
import { createReference } from "../../runtime/reference/layer.ts";

const model = check({
  model: defineModel("tuned", {
    head: softmax({ inputs: 256, rows: 1024, weight: "w", k: 4, estimator: quantized({ bits: 4, group: "row" }) }),
  }),
  sites: [],
});
const [layer] = planLayers(model);
const profile = PROFILES.wgsl.find(({ name }) => name === "webgpu-default")!;

interface Made {
  /** Microseconds of a launch; the number of the measurement is passed to it. */
  readonly time: (knobs: TuningPlan, measurement: number) => number;
  readonly values?: (knobs: TuningPlan) => number[];
  readonly load?: (knobs: TuningPlan) => void;
}

/** Tunes on a device that takes just these times, and says what was done on it. */
async function tuned({ time, values = () => [4, 3, 2, 1], load = () => {} }: Made) {
  const alive = new Set<string>();
  let [most, measurements, tried] = [0, 0, 0];
  const device: TuneDevice = {
    description: "made up",
    kind: "hardware",
    target: "wgsl",
    pickProfile: () => profile.name,
    load: async ({ plan }) => {
      const knobs = plan.programs[0]!.layers.head!.tuning ?? {};
      load(knobs);
      const key = JSON.stringify(knobs);
      alive.add(key);
      most = Math.max(most, alive.size);
      const outputs = {
        indices: Uint32Array.of(3, 2, 1, 0).buffer,
        values: Float32Array.from(values(knobs)).buffer,
      };
      return {
        run: async () => outputs,
        time: async () => time(knobs, measurements++),
        destroy: () => expect(alive.delete(key)).toBe(true),
      };
    },
    close: () => {},
  };
  const steps = stepsOf(layer!, profile);
  const search = { device, model, layer: layer!, profile, weights: randomWeights(layer!.plan), steps };
  const onTried = () => tried++;
  const result = tuneLayer({ ...search, stopwatch: DEVICE_TIME, onTried });
  await result.catch(() => undefined);
  expect([...alive], "what was not destroyed").toEqual([]);
  expect(most, "loaded at a time").toBeLessThanOrEqual(2);
  return { ...(await result), tried };
}

const lanes = (knobs: TuningPlan) => knobs.rescoreLanesPerRow ?? 8;

describe("the search", () => {
  it("takes the fastest, having measured all, and once more against the default", async () => {
    const { knobs, measured, tried } = await tuned({ time: (each) => 100 - lanes(each) });
    expect(knobs).toEqual({ rescoreLanesPerRow: 32 });
    expect(measured.map(({ knobs, against, verdict }) => [lanes(knobs), lanes(against), verdict])).toEqual([
      [4, 8, "not faster"],
      [16, 8, "faster"],
      [32, 16, "faster"],
      [32, 8, "faster"],
    ]);
    expect(measured[3]).toMatchObject({ time: { median: 68, spread: 0 }, timeAgainst: { median: 92, spread: 0 } });
    expect(tried).toBe(4);
  });

  it("stays with the default where nothing is faster by more than the noise", async () => {
    // 4 µs less, and 10 µs up or down in one of three.
    const noisy = (each: TuningPlan, i: number) => (lanes(each) === 4 ? 96 : 100) + 10 * ((i % 3) - 1);
    const { knobs, measured } = await tuned({ time: noisy });
    expect(knobs).toEqual({});
    expect(measured).toHaveLength(3);
    expect(measured.every(({ verdict }) => verdict === "not faster")).toBe(true);
    // Half a percent is not worth it, however sure it is.
    expect((await tuned({ time: (each) => (lanes(each) === 4 ? 99.5 : 100) })).knobs).toEqual({});
  });

  it("is not taken in by whoever is measured second being faster", async () => {
    const { knobs } = await tuned({ time: (_, i) => (i % 2 === 0 ? 24_000 : 20_000) });
    expect(knobs).toEqual({});
  });

  it("stays with the default where what was faster is not when it is measured again", async () => {
    let loads = 0;
    const { knobs, measured } = await tuned({
      time: (each) => (lanes(each) === 4 && loads < 5 ? 50 : 100),
      load: () => loads++,
    });
    expect(knobs).toEqual({});
    expect(measured.map(({ verdict }) => verdict)).toEqual(["faster", "not faster", "not faster", "not faster"]);
    expect(measured.at(-1)).toMatchObject({ knobs: { rescoreLanesPerRow: 4 }, against: {} });
  });

  it("never takes a kernel that returns something else, however fast, and says what differs", async () => {
    const { knobs, measured } = await tuned({
      time: (each) => (lanes(each) === 16 ? 1 : 100),
      values: (each) => (lanes(each) === 16 ? [4, 3, 2, 1.5] : [4, 3, 2, 1]),
    });
    expect(knobs).toEqual({});
    expect(measured[1]).toEqual({
      ...{ knobs: { rescoreLanesPerRow: 16 }, against: {} },
      ...{ verdict: "other results", why: "value 3 of token 0" },
    });
  });

  it("goes on where the device refuses a schedule, and says why; not where it refuses the default or is lost", async () => {
    const refuse = (code: string, wanted: number) => (each: TuningPlan) => {
      if (lanes(each) === wanted) throw new HireError({ code, message: "it is full", fix: "none" });
    };
    const time = (each: TuningPlan) => 100 - lanes(each);
    const { knobs, measured } = await tuned({ time, load: refuse("HIRE-RUN-013", 32) });
    expect(knobs).toEqual({ rescoreLanesPerRow: 16 });
    expect(measured[2]).toEqual({
      ...{ knobs: { rescoreLanesPerRow: 32 }, against: { rescoreLanesPerRow: 16 } },
      ...{ verdict: "refused", why: "it is full" },
    });
    await expect(tuned({ time, load: refuse("HIRE-RUN-013", 8) })).rejects.toThrow("it is full");
    await expect(tuned({ time, load: refuse("HIRE-RUN-005", 32) })).rejects.toThrow("it is full");
  });
});

describe("timing", () => {
  it("is the median and what lies between the quartiles", () => {
    expect(timingOf([5, 1, 4, 2, 3])).toEqual({ median: 3, spread: 2 });
    expect(timingOf([1, 2, 3, 4])).toEqual({ median: 2.5, spread: 1.5 });
    expect(timingOf([1 / 3])).toEqual({ median: 0.333, spread: 0 });
  });

  it("is shorter when the gain exceeds both spreads and a percent", () => {
    const current = { median: 100, spread: 2 };
    expect(isFaster({ median: 97.9, spread: 1 }, current)).toBe(true);
    expect(isFaster({ median: 98, spread: 1 }, current)).toBe(false);
    expect(isFaster({ median: 97.9, spread: 3 }, current)).toBe(false);
    expect(isFaster({ median: 99, spread: 0 }, { median: 100, spread: 0 })).toBe(false);
    expect(isFaster({ median: 98.9, spread: 0 }, { median: 100, spread: 0 })).toBe(true);
  });

  it("is written in micro- or milliseconds", () => {
    expect([0.1234, 12.34, 999.4, 999.6, 12_340].map(formatTime)).toEqual([
      ...["0.123 µs", "12.3 µs", "999 µs", "1.00 ms", "12.3 ms"],
    ]);
  });
});

describe("two results", () => {
  const plan = { kind: "softmax", inputs: 1024, k: 3 } as SoftmaxPlan;
  const result = (indices: number[], values: number[], more = {}) => ({
    ...{ indices: Uint32Array.from(indices), values: Float32Array.from(values), ...more },
  });
  const others = { lse: Float32Array.of(4.2), sampled: Uint32Array.of(5) };
  const expected = result([7, 5, 9], [4, 2, 1], others);
  // A unit in the last place of the largest for each of 1024 products: 0.00024.
  const close = 0.0002;

  it.each([
    ["the same", [7, 5, 9], [4, 2, 1], {}, undefined],
    ["rounded", [7, 5, 9], [4 + close, 2 - close, 1], { lse: Float32Array.of(4.2 + close) }, undefined],
    ["another value", [7, 5, 9], [4, 2.001, 1], {}, "value 1 of token 0"],
    ["another row", [7, 6, 9], [4, 2, 1], {}, "row 1 of token 0"],
    ["rows in another order", [5, 7, 9], [4, 2, 1], {}, "row 0 of token 0"],
    ["NaN", [7, 5, 9], [Number.NaN, 2, 1], {}, "value 0 of token 0"],
    ["another lse", [7, 5, 9], [4, 2, 1], { lse: Float32Array.of(4.3) }, "lse"],
    ["another sample", [7, 5, 9], [4, 2, 1], { sampled: Uint32Array.of(7) }, "sampled"],
    ["a flag too many", [7, 5, 9], [4, 2, 1], { certified: Uint8Array.of(1) }, "certified"],
  ] as const)("%s", (_, indices, values, more, difference) => {
    const found = result([...indices], [...values], { ...others, ...more });
    expect(findDifference(plan, expected, found)).toBe(difference);
  });

  it("rows that tie within the rounding may change places, with one another or with one that is not returned", () => {
    const tied = result([7, 5, 9], [4, 2, 2]);
    expect(findDifference(plan, tied, result([7, 9, 5], [4, 2 + close, 2]))).toBeUndefined();
    expect(findDifference(plan, tied, result([7, 5, 8], [4, 2, 2]))).toBeUndefined();
    expect(findDifference(plan, result([7, 5, 9], [4, 2, 1]), result([7, 8, 9], [4, 2, 1]))).toBe("row 1 of token 0");
  });

  it("infinities and empty places are the same, and rows for them are not", () => {
    const gaps = result([7, 0xffff_ffff, 0xffff_ffff], [4, -Infinity, -Infinity]);
    expect(findDifference(plan, gaps, gaps)).toBeUndefined();
    expect(findDifference(plan, gaps, result([7, 5, 0xffff_ffff], [4, -Infinity, -Infinity]))).toBe("row 1 of token 0");
  });

  it("of a feed-forward: groups in any order, and sums within their rounding", () => {
    const ffnPlan = { kind: "ffn", inputs: 512, rows: 512, k: 2 } as FfnPlan;
    const of = (groups: number[], output: number[]) => ({
      ...{ groups: Uint32Array.from(groups), output: Float32Array.from(output) },
    });
    const wanted = of([3, 1, 2, 0], [4, -1]);
    expect(findDifference(ffnPlan, wanted, of([1, 3, 2, 0], [4 + close, -1]))).toBeUndefined();
    expect(findDifference(ffnPlan, wanted, of([3, 1, 2, 1], [4, -1]))).toBe("groups of token 1");
    expect(findDifference(ffnPlan, wanted, of([3, 1, 2, 0], [4, -1.001]))).toBe("output");
  });
});

describe("random layers", () => {
  const shape = { inputs: 96, rows: 300, weight: "w", k: 4, candidates: 16, batch: 2 } as const;
  const layers = planLayers(
    check({
      model: defineModel("random", {
        codes: softmax({ ...shape, estimator: quantized({ bits: 5 }), mask: true, sample: multinomial(), bias: "b" }),
        // So wide that group scales of 255 could overflow.
        bytes: softmax({ ...shape, inputs: 640, dtype: "f16", estimator: quantized({ bits: 8 }), certify: "fallback" }),
        rank: softmax({ ...shape, dtype: "f32", estimator: lowRank({ rank: 32, bits: 16 }) }),
        mlp: ffn({
          ...{ inputs: 64, hidden: 512, weights: { gate: "g", up: "u", down: "d" }, k: 4, batch: 2 },
          ...{ activation: (z) => Math.max(z, 0), estimator: lowRank({ rank: 32, bits: 4 }) },
        }),
      }),
      sites: [],
    }),
  );

  it.each(layers.map((each) => [each.layer.name, each] as const))(
    "%s: finite, and the same each time",
    async (name, { plan }) => {
      const inputs = randomInputs(name, plan);
      expect(randomInputs(name, plan)).toEqual(inputs);
      const weights = randomWeights(plan);
      for (const tensor of plan.tensors) {
        const data = (await weights(tensor)) as Uint8Array;
        expect(data.byteLength).toBe(tensor.bytes);
        expect(await weights(tensor)).toEqual(data);
        expectLegal(tensor, data, plan as SoftmaxPlan);
      }
      const reference = await createReference(name, plan, weights);
      const { uniforms } = inputs as { uniforms?: Float32Array };
      const result = await reference.run(inputs.x, uniforms && { uniforms });
      const numbers = "values" in result ? result.values : result.output;
      expect(numbers.every(Number.isFinite)).toBe(true);
      // Not all alike.
      expect(new Set(numbers).size).toBeGreaterThan(4);
    },
  );

  function expectLegal({ role }: TensorPlan, data: Uint8Array, { estimator }: SoftmaxPlan) {
    if (role === "scales") {
      const matrix = estimator.kind === "lowRank" ? estimator.rows : estimator;
      const most = matrix.kind === "quantized" ? matrix.scaleMax : 0;
      expect(Math.min(...data)).toBeGreaterThanOrEqual(1);
      expect(Math.max(...data)).toBeLessThanOrEqual(most);
    }
    if (role === "row_scales" || role === "bounds" || role === "basis_scales") {
      const numbers = new Float32Array(data.slice().buffer);
      expect(numbers.every((each) => each > 0 && each < 1)).toBe(true);
    }
  }
});
