// Where a layer stops fitting: limits are met to the last byte and bit, and refused one step beyond.

import { expect, test } from "vitest";
import { PROFILES } from "../../compiler/profiles.ts";
import { dense, exact, quantized } from "../../dsl/index.ts";
import { HireError } from "../../runtime/errors.ts";
import { compileLayers } from "../cases/compile-case.ts";
import type { SoftmaxCase } from "../cases/softmax-case.ts";

type Layer = SoftmaxCase["layer"];

/** The codes of the problems that compiling a layer reports; none when it compiles. */
function refusals(layer: Layer): string[] {
  try {
    compileLayers({ head: layer });
    return [];
  } catch (thrown) {
    if (!(thrown instanceof HireError)) throw thrown;
    return [...new Set(thrown.diagnostics.map(({ code }) => code))];
  }
}

test.each([
  // The lane's sum holds 16 · 7 · 127 for each input of one group: 2^31 - 1 is reached after 150,976.6 of them.
  [4, "row", 150_976],
  // 127 · 127 for each input: 133,144.
  [8, "row", 133_120],
  // The group's own scale is 1 at least.
  [4, 32, 2_415_616],
  [8, 128, 133_120],
] as const)("integer scores of %i bits in groups of %s may have %i inputs and no more", (bits, group, inputs) => {
  const layer: Layer = { inputs, rows: 1, estimator: quantized({ bits, group }), k: 1 };
  expect(refusals(layer)).not.toContain("HIRE-PLAN-002");
  expect(refusals({ ...layer, inputs: inputs + 1 })).toContain("HIRE-PLAN-002");
  const float = { ...layer, inputs: inputs + 1, estimator: quantized({ bits, group, activations: "f32" }) };
  expect(refusals(float)).not.toContain("HIRE-PLAN-002");
});

test.each([32, 64, 128, 256, 1024, 8192])("%i inputs: integer scores of the worst row fit 32 bits", (inputs) => {
  for (const bits of [4, 8] as const) {
    for (const group of [32, 64, 128, "row"] as const) {
      const { plan } = compileLayers({ head: { inputs, rows: 64, estimator: quantized({ bits, group }), k: 1 } });
      const { estimator } = plan.layers.head!;
      if (estimator.kind !== "quantized") throw new Error("the layer is quantized");
      const worst = estimator.group * estimator.groups * estimator.scaleMax * (2 ** (bits - 1) - 1) * 127;
      expect(worst).toBeLessThan(2 ** 31);
      expect(estimator.scaleMax).toBeLessThan(256);
    }
  }
});

test("kept rows move to storage when workgroup memory is full, to the byte, and the layer still compiles", () => {
  const rows = 2 ** 21;
  const base: Layer = { inputs: 8, rows, dtype: "f32", estimator: quantized({ bits: 4 }), k: 1, select: exact() };
  // Around the 2011 rows that fit beside the keys of a tile, the codes of a token and the largest number of it.
  for (let candidates = 2007; candidates <= 2014; candidates++) {
    const { plan } = compileLayers({ head: { ...base, candidates } });
    const kernel = plan.programs[0]!.layers.head!.kernels[0]!;
    const bytes = 256 + 16 + 32 + 16 * Math.ceil(candidates / 2);
    expect(kernel.choices.keptInWorkgroup, `${candidates} candidates`).toBe(bytes <= 16384);
  }
});

test("no kernel takes more workgroup memory than its profile has, whatever the shape", () => {
  for (const batch of [1, 5, 16]) {
    for (const inputs of [8, 511, 1009]) {
      for (const k of [1, 1777, 1793]) {
        const shape = { inputs, rows: 2000, k, batch };
        const { plan } = compileLayers({
          int8: { ...shape, candidates: k, estimator: quantized({ bits: 8 }) },
          f32: { ...shape, candidates: k, estimator: quantized({ bits: 4, activations: "f32" }) },
          dense: { ...shape, estimator: dense() },
        });
        for (const { profile, layers } of plan.programs) {
          const { limits } = PROFILES.wgsl.find(({ name }) => name === profile)!;
          const used = Object.values(layers).flatMap(({ kernels }) => kernels.map((kernel) => kernel.workgroupBytes));
          expect(Math.max(...used)).toBeLessThanOrEqual(limits.maxComputeWorkgroupStorageSize);
        }
      }
    }
  }
});
