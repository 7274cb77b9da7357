// Properties over random specs. HIREC_RUNS multiplies the number of runs, for a longer search than CI has time for.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, compileModel } from "../../compiler/index.ts";
import { defineModel, dense, exact, quantized, softmax, twoStage } from "../../dsl/index.ts";
import { HireError } from "../../runtime/errors.ts";
import { type NodeDevice, requestNullDevice } from "../../runtime/node/device.ts";
import { compileKernel } from "../../runtime/webgpu/program.ts";

const RUNS = Number(process.env.HIREC_RUNS ?? 1);

const estimator = fc.oneof(
  fc.record({
    bits: fc.constantFrom(4 as const, 8 as const),
    group: fc.constantFrom(32 as const, 64 as const, 128 as const, "row" as const),
    activations: fc.constantFrom("int8" as const, "f32" as const),
  }),
  fc.constant(undefined),
);

/** Options that the language allows, sizes from one row to a large vocabulary. */
const legal = fc
  .record({
    inputs: fc.integer({ min: 1, max: 4096 }),
    rows: fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 300_000 })),
    dtype: fc.constantFrom("f32" as const, "f16" as const, "bf16" as const),
    estimator,
    recall: fc.oneof(fc.constant(undefined), fc.double({ min: 0.01, max: 1, noNaN: true })),
    batch: fc.integer({ min: 1, max: 16 }),
    k: fc.double({ min: 0, max: 1, noNaN: true }),
    candidates: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ estimator, recall, k, candidates, ...shape }) => {
    // Whole numbers from shares: 1 ≤ k ≤ candidates ≤ rows, and few enough for one binding.
    const most = Math.min(shape.rows, 4096);
    const count = 1 + Math.floor(candidates ** 3 * (most - 1));
    return softmax({
      ...shape,
      weight: "w",
      estimator: estimator ? quantized(estimator) : dense(),
      select: recall === undefined ? exact() : twoStage({ recall }),
      k: 1 + Math.floor(k * (count - 1)),
      ...(estimator && { candidates: count }),
    });
  });

describe("every legal spec", () => {
  let device: NodeDevice;
  beforeAll(async () => {
    device = await requestNullDevice();
  });
  afterAll(() => device.close());

  it("compiles to kernels that Tint accepts, within the limits and with the recall that it asked for", async () => {
    await fc.assert(
      fc.asyncProperty(legal, async (head) => {
        const { plan, files } = compileModel(defineModel("random", { head }));
        const layer = plan.layers.head!;
        const { recall } = (head.options.select?.options ?? { recall: 1 }) as { recall: number };
        expect(layer.selection.recallOfCandidates).toBeGreaterThanOrEqual(recall - 1e-6);
        expect(layer.selection.buckets * layer.selection.keep).toBeGreaterThanOrEqual(layer.candidates);
        for (const { layers, limits } of plan.programs) {
          for (const { slices, bytes } of layers.head!.buffers) {
            expect(Math.max(...(slices ?? [bytes]))).toBeLessThanOrEqual(limits.maxStorageBufferBindingSize!);
          }
          for (const kernel of layers.head!.kernels) {
            expect(kernel.workgroupBytes).toBeLessThanOrEqual(limits.maxComputeWorkgroupStorageSize!);
            await compileKernel(device.device, kernel, files.get(kernel.file)!);
          }
        }
      }),
      { numRuns: 40 * RUNS, seed: 1 },
    );
  });
});

describe("every broken spec", () => {
  const options = fc.record(
    {
      inputs: fc.anything(),
      rows: fc.anything(),
      dtype: fc.anything(),
      weight: fc.anything(),
      estimator: fc.anything(),
      k: fc.anything(),
      candidates: fc.anything(),
      select: fc.anything(),
      batch: fc.anything(),
    },
    { requiredKeys: [] },
  );
  const isDiagnosed = (thrown: unknown) =>
    thrown instanceof HireError && thrown.diagnostics.every(({ code, message, fix }) => code && message && fix);

  it("gets diagnostics, whatever stands in place of its options, layers and name", () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), options, (name, layers, given) => {
        for (const model of [
          () => defineModel(name as string, { head: softmax(given as never) }),
          () => defineModel("broken", layers as never),
          () => defineModel("broken", { head: softmax(layers as never), other: layers as never }),
        ]) {
          try {
            compileModel(model());
          } catch (thrown) {
            if (!isDiagnosed(thrown)) throw thrown;
          }
        }
      }),
      { numRuns: 500 * RUNS, seed: 2 },
    );
  });

  it("gets diagnostics, whatever its text is cut or mixed into", async () => {
    const text = `import { defineModel, quantized, softmax } from "hirec";
const shape = { inputs: 64, rows: 512 };
export default defineModel("cut", {
  head: softmax({ ...shape, weight: "w", estimator: quantized({ bits: 4 }), k: 4 }),
});
`;
    const folder = await mkdtemp(join(tmpdir(), "hirec-properties-"));
    const path = join(folder, "cut.hire.ts");
    const place = fc.integer({ min: 0, max: text.length });
    const inserted = fc.constantFrom(
      "",
      "{",
      "}",
      "(",
      ")",
      ",",
      ";",
      '"',
      "`",
      "...",
      "null",
      "k: 1,",
      "await ",
      "=>",
      "\0",
    );
    try {
      await fc.assert(
        fc.asyncProperty(place, place, inserted, async (a, b, between) => {
          await writeFile(path, text.slice(0, Math.min(a, b)) + between + text.slice(Math.max(a, b)));
          await compile(path).catch((thrown) => {
            if (!isDiagnosed(thrown)) throw thrown;
          });
        }),
        { numRuns: 60 * RUNS, seed: 3 },
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
