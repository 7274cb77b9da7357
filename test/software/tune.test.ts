// hirec tune on the software adapter: real kernels, loaded and compared; the clock is the test's, or the device's own.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { checkSpec, compile } from "../../compiler/index.ts";
import type { CheckedModel } from "../../compiler/model.ts";
import type { Stopwatch } from "../../compiler/tune/race.ts";
import { type TuneOptions, tune } from "../../compiler/tune/tune.ts";
import { tuningPath } from "../../compiler/tuning/file.ts";
import { writeTuning } from "../../compiler/tuning/write.ts";
import { HireError } from "../../runtime/errors.ts";
import { packModel } from "../../runtime/node/pack-file.ts";
import { writeSafetensors } from "../../runtime/node/safetensors-file.ts";
import { lookSeldom } from "./device.ts";

const SPEC = `import { defineModel, ffn, quantized, softmax } from "hirec";
export default defineModel("small", {
  head: softmax({ inputs: 64, rows: 512, dtype: "f32", weight: "w", estimator: quantized({ bits: 4 }), k: 4, mask: true, batch: 2 }),
  mlp: ffn({
    inputs: 64, hidden: 128, dtype: "f32", gated: false, weights: { up: "up", down: "down" }, k: 2,
    activation: (z) => Math.max(z, 0), estimator: quantized({ bits: 8 }),
  }),
});
`;

let folder: string;
let spec: string;
let model: CheckedModel;
beforeAll(async () => {
  lookSeldom();
  folder = await mkdtemp(join(tmpdir(), "hirec-tune-"));
  spec = join(folder, "small.hire.ts");
  await writeFile(spec, SPEC);
  ({ model } = await checkSpec(spec));
});
afterAll(() => rm(folder, { recursive: true }));

/** Faster with fewer invocations, and with twice the lanes at a row. */
const preferring: Stopwatch = async ({ knobs }) =>
  100 + (knobs.gatherLanes ?? 256) / 8 + Math.abs(16 - (knobs.rescoreLanesPerRow ?? 8));

const onSoftware = (options: Partial<TuneOptions> = {}) =>
  tune(model, { device: "software", profile: "webgpu-default", stopwatch: preferring, ...options });

describe("tuning on the software adapter", () => {
  test("takes the knobs with which the clock runs fastest, all of which return the same; compile has them then", async () => {
    const progress: string[] = [];
    const { device, profile, layers } = await onSoftware({
      onProgress: (done, total) => progress.push(`${done}/${total}`),
    });
    expect(device).toMatch(/SwiftShader/i);
    expect(profile).toBe("webgpu-default");
    expect(Object.fromEntries(Object.entries(layers).map(([name, { knobs }]) => [name, knobs]))).toEqual({
      head: { rescoreLanesPerRow: 16 },
      mlp: { gatherLanes: 64 },
    });
    expect(layers.mlp).toMatchObject({
      reason: "gatherLanes 64: 116 µs, by default 140 µs, 17.1 % less; noise is 0.00 µs",
      device,
      date: expect.stringMatching(/^\d{4}-\d\d-\d\d$/),
    });
    const verdicts = Object.values(layers).flatMap(({ measured }) => measured.map(({ verdict }) => verdict));
    expect(verdicts).not.toContain("other results");
    expect(verdicts).not.toContain("refused");
    // 3 others and once more, 2 others and once more.
    expect(progress).toEqual(Array.from({ length: 8 }, (_, done) => `${done}/7`));

    await writeTuning(tuningPath(spec), undefined, model, profile, layers);
    const { plan, warnings } = await compile(spec);
    expect(warnings).toEqual([]);
    const [subgroups, usual] = plan.programs;
    expect(usual!.layers.mlp!.tuning).toEqual({ gatherLanes: 64 });
    expect(usual!.layers.head!.kernels[1]!.constants).toMatchObject({ LANES_PER_ROW: 16, TEAMS: 16 });
    expect(subgroups!.layers.mlp!.tuning).toBeUndefined();
  });

  test("measures by the device's clock, with a pack of the user's", async () => {
    const floats = (name: string, rows: number, columns: number) => ({
      ...{ name, dtype: "F32" as const, shape: [rows, columns] },
      bytes: () =>
        new Uint8Array(Float32Array.from({ length: rows * columns }, (_, i) => ((i * 7919) % 15) - 7).buffer),
    });
    const weights = join(folder, "w.safetensors");
    const tensors = [floats("w", 512, 64), floats("up", 128, 64), floats("down", 64, 128)];
    await writeSafetensors(weights, tensors, {}, "HIRE-RUN-009");
    const { plan } = await compile(spec);
    const pack = join(folder, "pack");
    await packModel(plan, [weights], pack);
    const clock: number[] = [];
    const stopwatch: Stopwatch = async ({ loaded }) => {
      const begun = process.hrtime.bigint();
      // The device's clock is meant, not that of the process.
      const stopped = vi.spyOn(performance, "now").mockReturnValue(0);
      const microseconds = await loaded.time(2);
      stopped.mockRestore();
      const elapsed = Number(process.hrtime.bigint() - begun) / 1000;
      // Of two launches, within what all of it took.
      clock.push((2 * microseconds) / elapsed);
      return 20_000;
    };
    const { layers } = await onSoftware({ layer: "mlp", pack, stopwatch });
    expect(Object.keys(layers)).toEqual(["mlp"]);
    expect(layers.mlp!.knobs).toEqual({});
    expect(layers.mlp!.reason).toBe("None of 2 others is faster than the default, 20.0 ms, by more than the noise");
    expect(clock.length).toBe(2 * (2 * 15 + 2));
    expect(clock.every((share) => share > 0 && share <= 1.01)).toBe(true);
  });

  test("has nothing to do where no layer has knobs", async () => {
    expect((await onSoftware({ layer: "head", profile: "webgpu-subgroups" })).layers).toEqual({});
  });

  test.each([
    ["a layer that there is not", { layer: "tail" }, "HIRE-RUN-008"],
    ["a profile that there is not", { profile: "webgpu-9000" }, "HIRE-RUN-006"],
    ["a profile of CUDA", { profile: "cuda-sm90" }, "HIRE-RUN-006"],
    ["a pack that there is not", { pack: "/none/pack" }, "HIRE-PACK-001"],
  ] as const)("refuses %s", async (_, options, code) => {
    const thrown = await onSoftware(options).catch((each: unknown) => each);
    expect(thrown).toBeInstanceOf(HireError);
    expect((thrown as HireError).code).toBe(code);
  });
});
