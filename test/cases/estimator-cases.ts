// Estimators of every kind beyond 4 and 8 bits, each with other shapes, and some of them with adversaries.

import { type Estimator, exact, lowRank, type QuantizedOptions, quantized, twoStage } from "../../dsl/index.ts";
import { ADVERSARIES } from "./adversaries.ts";
import { integers, normals } from "./fills.ts";
import type { SoftmaxCase } from "./softmax-case.ts";

const BITS = [2, 3, 5, 6] as const;

function widths(): SoftmaxCase[] {
  const formats = BITS.flatMap((bits) =>
    (["int8", "f32"] as const).flatMap((activations) =>
      ([32, 64, "row"] as const).map((group): QuantizedOptions => ({ bits, group, activations })),
    ),
  );
  return formats.map((format, i): SoftmaxCase => {
    const batch = [1, 3, 8, 2][i % 4]!;
    return {
      name: `int${format.bits} codes, group ${format.group}, ${format.activations} activations: random`,
      layer: {
        inputs: [100, 65, 128, 33, 250][i % 5]!,
        rows: [130, 200, 65, 191][i % 4]!,
        dtype: (["bf16", "f32", "f16"] as const)[i % 3]!,
        estimator: quantized(format),
        k: 8,
        candidates: 32,
        select: i % 2 ? exact() : twoStage({ recall: 0.9 }),
        batch,
      },
      tokens: batch + 1,
      weights: normals,
      inputs: normals,
      comparison: "rounded",
    };
  });
}

function ranks(): SoftmaxCase[] {
  const shapes = [
    { rank: 20, inputs: 100, rows: 200, batch: 3 },
    { rank: 33, inputs: 65, rows: 130, batch: 1 },
    { rank: 64, inputs: 130, rows: 90, batch: 8 },
    { rank: 1, inputs: 40, rows: 70, batch: 2 },
  ];
  const formats = ([4, 8, 16] as const).flatMap((bits) =>
    (bits === 16 ? (["f32"] as const) : (["int8", "f32"] as const)).map((activations) => ({ bits, activations })),
  );
  return formats.flatMap((format, i) =>
    shapes
      .filter((_, s) => s !== i % 4)
      .map(({ rank, inputs, rows, batch }, s): SoftmaxCase => {
        const dtype = (["bf16", "f32", "f16"] as const)[(i + s) % 3]!;
        return {
          name: `rank ${rank} of ${inputs}, ${format.bits} bits, ${format.activations} activations: random`,
          layer: { inputs, rows, dtype, estimator: lowRank({ rank, ...format }), k: 6, candidates: 30, batch },
          tokens: batch + 1,
          weights: normals,
          inputs: normals,
          comparison: "rounded",
        };
      }),
  );
}

/** Whole numbers, where tokens are so wide that a kernel of its own quantizes them. */
function wide(): SoftmaxCase[] {
  return BITS.map((bits) => ({
    name: `int${bits} codes of tokens so wide that a kernel of its own quantizes them`,
    layer: { inputs: 700, rows: 90, dtype: "bf16", estimator: quantized({ bits }), k: 5, candidates: 30, batch: 13 },
    tokens: 14,
    weights: integers(9),
    inputs: integers(9),
    comparison: "exact",
  }));
}

function adversarial(): SoftmaxCase[] {
  const estimators: Readonly<Record<string, Estimator>> = {
    "2 bits": quantized({ bits: 2 }),
    "3 bits, f32 activations": quantized({ bits: 3, group: "row", activations: "f32" }),
    "5 bits": quantized({ bits: 5, group: 64 }),
    "rank 8": lowRank({ rank: 8, bits: 8 }),
  };
  return Object.entries(estimators).flatMap(([kind, estimator]) =>
    ADVERSARIES.map(
      (adversary): SoftmaxCase => ({
        ...adversary,
        name: `${kind}: ${adversary.name}`,
        layer: { inputs: 40, rows: 500, dtype: "f32", estimator, k: 10, candidates: 60, select: exact(), batch: 2 },
        tokens: 3,
        comparison: "exact",
      }),
    ),
  );
}

export const ESTIMATOR_CASES: readonly SoftmaxCase[] = [...widths(), ...ranks(), ...wide(), ...adversarial()];
