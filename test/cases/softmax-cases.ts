// The table of cases that every backend runs.

import {
  type Dtype,
  dense,
  type Estimator,
  exact,
  type QuantizedOptions,
  quantized,
  twoStage,
} from "../../dsl/index.ts";
import { ADVERSARIES } from "./adversaries.ts";
import { BATCH_CASES } from "./batch-cases.ts";
import { CERTIFY_CASES } from "./certify-cases.ts";
import { ESTIMATOR_CASES } from "./estimator-cases.ts";
import { each, integers, normals } from "./fills.ts";
import { OPTION_CASES } from "./option-cases.ts";
import { normal } from "./random.ts";
import type { SoftmaxCase } from "./softmax-case.ts";
import { STATISTICAL_CASES } from "./statistical-cases.ts";

type Layer = SoftmaxCase["layer"];

/** Every way to quantize, each with another dtype, batch, width and selector. */
function quantizedFormats(): SoftmaxCase[] {
  const formats = ([4, 8] as const).flatMap((bits) =>
    ([32, 64, 128, "row"] as const).flatMap((group) =>
      (["int8", "f32"] as const).map((activations): QuantizedOptions => ({ bits, group, activations })),
    ),
  );
  return formats.map((format, i): SoftmaxCase => {
    const batch = [1, 3, 8, 16][(i >> 1) % 4]!;
    const layer: Layer = {
      inputs: [100, 257, 128, 384, 33][i % 5]!,
      rows: [130, 200, 65, 330, 191, 64, 257][i % 7]!,
      dtype: (["f32", "f16", "bf16"] as const)[i % 3]!,
      estimator: quantized(format),
      k: 8,
      candidates: 24,
      select: (i >> 1) % 3 === 1 ? exact() : twoStage({ recall: 0.9 }),
      batch,
    };
    return {
      name: `int${format.bits} codes, group ${format.group}, ${format.activations} activations: random`,
      layer,
      // One launch and a part of another.
      tokens: batch + Math.ceil(batch / 2),
      weights: normals,
      inputs: normals,
      comparison: "rounded",
    };
  });
}

function denseFormats(): SoftmaxCase[] {
  const shapes: readonly [Dtype, number, number][] = [
    ["f32", 33, 3],
    ["f32", 64, 1],
    ["f16", 100, 8],
    ["f16", 64, 3],
    ["bf16", 257, 16],
    ["bf16", 32, 1],
  ];
  return shapes.map(([dtype, inputs, batch], i) => ({
    name: `dense ${dtype}, ${inputs} inputs, batch ${batch}: random`,
    layer: {
      inputs,
      rows: 330,
      dtype,
      estimator: dense(),
      k: 10,
      select: i % 2 ? twoStage({ recall: 0.8 }) : exact(),
      batch,
    },
    tokens: batch + 1,
    weights: normals,
    inputs: normals,
    comparison: "rounded",
  }));
}

/** Each adversary on each kind of score. */
function adversarial(): SoftmaxCase[] {
  const shape = { rows: 1000, dtype: "f32", k: 20, batch: 2 } as const;
  const quantizing = { ...shape, candidates: 60 };
  const layers: Readonly<Record<string, Layer>> = {
    "int8 activations": { ...quantizing, inputs: 40, estimator: quantized({ bits: 4 }), select: exact() },
    "int8 activations in two stages": {
      ...quantizing,
      inputs: 40,
      estimator: quantized({ bits: 8, group: "row" }),
      select: twoStage({ recall: 0.9 }),
    },
    "f32 activations": {
      ...quantizing,
      inputs: 40,
      estimator: quantized({ bits: 8, activations: "f32" }),
      select: exact(),
    },
    dense: { ...shape, inputs: 10, estimator: dense() },
  };
  return Object.entries(layers).flatMap(([kind, layer]) =>
    ADVERSARIES.map(
      (adversary): SoftmaxCase => ({
        ...adversary,
        name: `${kind}: ${adversary.name}`,
        layer,
        tokens: 3,
        comparison: "exact",
      }),
    ),
  );
}

/** Shapes at the edges of what a layer may be. */
function shapes(): SoftmaxCase[] {
  const int4 = quantized({ bits: 4 });
  const int8 = quantized({ bits: 8, group: 64 });
  const float = quantized({ bits: 4, group: "row", activations: "f32" });
  const edges: readonly (Omit<Layer, "estimator"> & { readonly estimator: Estimator; readonly tokens: number })[] = [
    { inputs: 1, rows: 1, k: 1, estimator: int4, dtype: "bf16", tokens: 3 },
    { inputs: 1, rows: 1, k: 1, estimator: dense(), dtype: "f16", tokens: 2 },
    { inputs: 1, rows: 65, k: 2, candidates: 2, estimator: int8, dtype: "f16", batch: 3, tokens: 4 },
    { inputs: 7, rows: 63, k: 63, candidates: 63, estimator: int8, dtype: "f32", batch: 3, tokens: 5 },
    { inputs: 7, rows: 65, k: 65, estimator: dense(), dtype: "bf16", batch: 8, tokens: 9 },
    { inputs: 33, rows: 65, k: 1, candidates: 1, estimator: int4, dtype: "f16", batch: 16, tokens: 17 },
    { inputs: 33, rows: 63, k: 1, estimator: dense(), dtype: "f32", batch: 16, tokens: 1 },
    { inputs: 100, rows: 130, k: 4, candidates: 130, estimator: int4, dtype: "f32", batch: 2, tokens: 3 },
    { inputs: 100, rows: 130, k: 130, candidates: 130, estimator: float, dtype: "bf16", batch: 1, tokens: 2 },
    { inputs: 257, rows: 1000, k: 5, candidates: 40, estimator: int4, dtype: "bf16", batch: 3, tokens: 7 },
    { inputs: 257, rows: 1000, k: 5, candidates: 40, estimator: float, dtype: "f16", batch: 16, tokens: 16 },
    { inputs: 257, rows: 1000, k: 50, estimator: dense(), dtype: "f32", batch: 16, tokens: 18 },
  ];
  return edges.map(({ tokens, ...layer }) => ({
    name: `${layer.estimator.kind} ${layer.rows} × ${layer.inputs} ${layer.dtype}, k ${layer.k}, batch ${layer.batch ?? 1}`,
    layer,
    tokens,
    weights: integers(9),
    inputs: integers(9),
    comparison: "exact",
  }));
}

/** Layers so large in one way or another that their kernels are made differently. */
const LARGE: readonly SoftmaxCase[] = [
  {
    // Rows of a later tile tie with kept ones all the time.
    name: "rows enough for two tiles a bucket, int8 activations",
    layer: {
      inputs: 8,
      rows: 100_003,
      dtype: "f16",
      estimator: quantized({ bits: 4 }),
      k: 8,
      candidates: 64,
      select: exact(),
      batch: 2,
    },
    tokens: 3,
    weights: integers(1),
    inputs: integers(9),
    comparison: "exact",
  },
  {
    name: "rows enough for two tiles a bucket, f32 activations",
    layer: {
      inputs: 8,
      rows: 98_305,
      dtype: "bf16",
      estimator: quantized({ bits: 8, activations: "f32" }),
      k: 8,
      candidates: 64,
      select: exact(),
    },
    tokens: 1,
    weights: integers(9),
    inputs: integers(9),
    comparison: "exact",
  },
  {
    name: "more kept rows than fit beside the codes of the tokens",
    layer: {
      inputs: 512,
      rows: 200,
      dtype: "bf16",
      estimator: quantized({ bits: 4, group: 128 }),
      k: 10,
      candidates: 100,
      select: exact(),
      batch: 16,
    },
    tokens: 17,
    weights: integers(9),
    inputs: integers(9),
    comparison: "exact",
  },
  {
    name: "two tiles a bucket and more kept rows than lanes, grown in storage",
    layer: { inputs: 4, rows: 98_400, dtype: "f32", estimator: dense(), k: 127, batch: 16 },
    tokens: 2,
    weights: integers(20),
    inputs: integers(20),
    comparison: "exact",
  },
  {
    name: "tokens too wide to be staged, f32 activations",
    layer: {
      inputs: 612,
      rows: 130,
      dtype: "f16",
      estimator: quantized({ bits: 8, group: 32, activations: "f32" }),
      k: 10,
      candidates: 40,
      batch: 8,
    },
    tokens: 8,
    weights: integers(9),
    inputs: integers(9),
    comparison: "exact",
  },
  {
    name: "tokens so wide that a kernel of its own quantizes them, 4 bits",
    layer: { inputs: 600, rows: 130, dtype: "bf16", estimator: quantized({ bits: 4 }), k: 10, batch: 16 },
    tokens: 19,
    weights: normals,
    inputs: normals,
    comparison: "rounded",
  },
  {
    name: "tokens so wide that a kernel of its own quantizes them, 8 bits, NaN in a token",
    layer: { inputs: 1111, rows: 70, dtype: "f32", estimator: quantized({ bits: 8, group: 128 }), k: 10, batch: 8 },
    tokens: 9,
    weights: integers(9),
    inputs: each((token, column, random) =>
      token === 4 && column === 1110 ? Number.NaN : Math.floor(19 * random()) - 9,
    ),
    comparison: "exact",
  },
  {
    name: "more candidates than fit into workgroup memory",
    layer: {
      inputs: 16,
      rows: 2500,
      dtype: "bf16",
      estimator: quantized({ bits: 4 }),
      k: 1900,
      candidates: 2100,
      select: exact(),
      batch: 2,
    },
    tokens: 3,
    weights: integers(9),
    inputs: integers(9),
    comparison: "exact",
  },
  {
    name: "more exact scores than fit into workgroup memory",
    layer: { inputs: 16, rows: 2100, dtype: "bf16", estimator: dense(), k: 1990, batch: 2 },
    tokens: 2,
    weights: integers(9),
    inputs: integers(9),
    comparison: "exact",
  },
];

/** As wide as integer scores of one group allow, with the rows and tokens that make them largest. */
const WIDEST: readonly SoftmaxCase[] = (
  [
    [4, 150_976],
    [8, 133_120],
  ] as const
).map(([bits, inputs]) => ({
  name: `int${bits} scores that fill 32 bits`,
  layer: { inputs, rows: 4, dtype: "bf16", estimator: quantized({ bits, group: "row" }), k: 1, candidates: 2 },
  tokens: 2,
  weights: each((row) => [-1, 1, 0.5, -0.5][row]!),
  inputs: each((token) => (token === 0 ? 1 : -1)),
  comparison: "exact",
}));

/** Numbers as models have them. */
const LIFELIKE: readonly SoftmaxCase[] = [
  {
    // The best rows are neighbours, as where ids are sorted by frequency; only interleaved buckets tell them apart.
    name: "rows sorted by their score",
    layer: {
      inputs: 32,
      rows: 3000,
      dtype: "bf16",
      estimator: quantized({ bits: 4 }),
      k: 16,
      candidates: 64,
      select: twoStage({ recall: 0.95 }),
      batch: 4,
    },
    tokens: 4,
    weights: each((row, column, random) => (column % 2 ? 1 : -1) * (3 - row / 1000) + normal(random)),
    inputs: each((_token, column, random) => (column % 2 ? 1 : -1) + normal(random)),
    comparison: "rounded",
  },
  {
    name: "a few inputs a hundred times larger than the others",
    layer: {
      inputs: 256,
      rows: 500,
      dtype: "f16",
      estimator: quantized({ bits: 4, activations: "f32" }),
      k: 8,
      candidates: 100,
      batch: 2,
    },
    tokens: 3,
    weights: normals,
    inputs: each((_token, column, random) => (column % 61 === 7 ? 100 : 1) * normal(random)),
    comparison: "rounded",
  },
  {
    // Every f16 below 2^-14 is subnormal, yet an ordinary f32.
    name: "subnormal f16 weights",
    layer: { inputs: 10, rows: 1023, dtype: "f16", estimator: dense(), k: 100 },
    tokens: 3,
    weights: each((row, column) => (column === 9 ? (row + 1) * 2 ** -24 : 0)),
    inputs: integers(9),
    comparison: "exact",
  },
  {
    // A device may take each such weight for zero.
    name: "subnormal f32 weights and large tokens",
    layer: { inputs: 20, rows: 130, dtype: "f32", estimator: quantized({ bits: 8 }), k: 10, candidates: 130 },
    tokens: 2,
    weights: each((_row, _column, random) => normal(random) * 2 ** -127),
    inputs: each((_token, _column, random) => normal(random) * 2 ** 40),
    comparison: "rounded",
  },
];

export const SOFTMAX_CASES: readonly SoftmaxCase[] = [
  ...quantizedFormats(),
  ...denseFormats(),
  ...shapes(),
  ...LIFELIKE,
  ...adversarial(),
  ...LARGE,
  ...WIDEST,
  ...BATCH_CASES,
  ...CERTIFY_CASES,
  ...ESTIMATOR_CASES,
  ...OPTION_CASES,
  ...STATISTICAL_CASES,
];
