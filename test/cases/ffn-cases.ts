// The table of feed-forwards that every backend runs.

import { dense, lowRank, quantized, twoStage } from "../../dsl/index.ts";
import { ADVERSARIES } from "./adversaries.ts";
import { BATCH_FFN_CASES } from "./batch-cases.ts";
import type { FfnCase } from "./ffn-case.ts";
import { each, integers, normals } from "./fills.ts";
import { STATISTICAL_FFN_CASES } from "./statistical-cases.ts";

type Layer = FfnCase["layer"];

const relu = (z: number) => Math.max(z, 0);
const silu = (z: number) => z / (1 + Math.exp(-z));
const gelu = (z: number) => 0.5 * z * (1 + Math.tanh(0.7978845608 * (z + 0.044715 * z * z * z)));
const squaredRelu = (z: number) => Math.max(z, 0) ** 2;

const int4 = quantized({ bits: 4 });
const int8 = quantized({ bits: 8, group: "row" });
const float = quantized({ bits: 4, group: 64, activations: "f32" });

/** Whole numbers, so that every backend must give the very numbers of float64. */
function whole(name: string, layer: Layer, tokens: number): FfnCase {
  const small = integers(3);
  return {
    name: `ffn: ${name}`,
    layer,
    tokens,
    gate: small,
    up: small,
    down: small,
    inputs: small,
    comparison: "exact",
  };
}

/** Random numbers as models have them. */
function lifelike(name: string, layer: Layer, tokens: number): FfnCase {
  const matrices = { gate: normals, up: normals, down: normals };
  return { name: `ffn: ${name}`, layer, tokens, ...matrices, inputs: normals, comparison: "rounded" };
}

const SHAPES: readonly FfnCase[] = [
  whole("one neuron", { inputs: 1, hidden: 1, activation: relu, estimator: int4, k: 1 }, 2),
  whole(
    "groups of 8",
    { inputs: 40, hidden: 128, activation: relu, estimator: int4, k: 4, candidates: 8, batch: 3 },
    4,
  ),
  whole(
    "the last group smaller, other outputs than inputs",
    {
      inputs: 33,
      hidden: 101,
      outputs: 7,
      dtype: "f32",
      activation: relu,
      estimator: int8,
      k: 0.2,
      candidates: 0.5,
      batch: 2,
    },
    3,
  ),
  whole(
    "groups of 1",
    {
      inputs: 20,
      hidden: 90,
      outputs: 12,
      dtype: "f16",
      activation: relu,
      estimator: int4,
      group: { size: 1 },
      k: 9,
      candidates: 30,
      batch: 8,
    },
    9,
  ),
  whole(
    "groups of 64",
    {
      inputs: 16,
      hidden: 300,
      dtype: "bf16",
      activation: relu,
      estimator: int4,
      group: { size: 64 },
      k: 2,
      candidates: 3,
      batch: 2,
    },
    3,
  ),
  whole(
    "groups of 5, which leave lanes over",
    {
      inputs: 16,
      hidden: 203,
      dtype: "f16",
      activation: relu,
      estimator: int8,
      group: { size: 5 },
      k: 6,
      candidates: 20,
      batch: 16,
    },
    17,
  ),
  whole(
    "common groups",
    {
      inputs: 24,
      hidden: 160,
      activation: relu,
      estimator: int4,
      group: { size: 8 },
      common: 3,
      k: 3,
      candidates: 6,
      batch: 2,
    },
    4,
  ),
  whole(
    "all groups but the common ones selected",
    {
      inputs: 24,
      hidden: 50,
      outputs: 3,
      activation: relu,
      estimator: int4,
      group: { size: 4 },
      common: 5,
      k: 8,
      batch: 3,
    },
    3,
  ),
  whole(
    "without a gate",
    { inputs: 30, hidden: 96, gated: false, activation: relu, estimator: int4, k: 3, candidates: 7, batch: 2 },
    4,
  ),
  whole("dense", { inputs: 30, hidden: 96, activation: relu, estimator: dense(), k: 3, batch: 2 }, 4),
  whole(
    "dense, every group, without a gate",
    { inputs: 9, hidden: 40, gated: false, dtype: "f32", activation: relu, estimator: dense(), k: 5 },
    2,
  ),
  whole(
    "so many groups that a workgroup has no memory left for sums",
    { inputs: 3, hidden: 3300, outputs: 5, activation: relu, estimator: dense(), group: { size: 1 }, k: 3200 },
    1,
  ),
  whole(
    "scored by their sum",
    {
      inputs: 24,
      hidden: 120,
      activation: relu,
      estimator: int4,
      group: { size: 6, score: "sum" },
      k: 4,
      candidates: 9,
      batch: 3,
    },
    4,
  ),
  whole(
    "scored by their squares, in floats",
    {
      inputs: 24,
      hidden: 120,
      activation: squaredRelu,
      estimator: float,
      group: { score: "l2" },
      k: 4,
      candidates: 15,
      batch: 2,
    },
    3,
  ),
];

/** Activations that are hardly ever zero: then gate and up may be read together. */
const HARDLY_ZERO: readonly FfnCase[] = (
  [
    ["groups of 8, one token", { inputs: 70, hidden: 260, batch: 1 }],
    ["groups of 5, common", { inputs: 33, hidden: 203, batch: 3, group: { size: 5 }, common: 2, dtype: "f32" }],
    ["groups of 64", { inputs: 300, hidden: 700, outputs: 40, batch: 2, group: { size: 64 }, k: 2, candidates: 3 }],
    ["as many tokens as can be", { inputs: 24, hidden: 96, batch: 16, k: 2, candidates: 4, dtype: "f16" }],
    ["by the sum", { inputs: 1100, hidden: 96, batch: 2, k: 2, candidates: 4, group: { score: "sum" } }],
  ] as const
).flatMap(([name, shape]): FfnCase[] => {
  const layer = { activation: (z: number) => z + 3, estimator: int4, k: 4, candidates: 9, ...shape };
  const tokens = shape.batch + 1;
  return [
    whole(`hardly ever zero, ${name}`, layer, tokens),
    { ...whole(`hardly ever zero, biased, ${name}`, layer, tokens), bias: { gate: integers(3), up: integers(3) } },
    {
      ...whole(`hardly ever zero, zero times infinity, ${name}`, layer, tokens),
      gate: each((row) => (row % 2 === 0 ? -3 : 2)),
      up: each((row) => (row % 2 === 0 ? Number.POSITIVE_INFINITY : 1)),
      inputs: each((_token, column) => (column === 0 ? 1 : 0)),
    },
  ];
});

const LIFELIKE: readonly FfnCase[] = [
  lifelike(
    "silu, int8 activations, two stages",
    {
      ...{ inputs: 64, hidden: 512, outputs: 48, dtype: "bf16", activation: silu, estimator: int4 },
      ...{ k: 0.1, candidates: 0.25, select: twoStage({ recall: 0.95 }), batch: 4 },
    },
    5,
  ),
  lifelike(
    "gelu, without a gate, f32 activations",
    {
      inputs: 50,
      hidden: 257,
      gated: false,
      dtype: "f16",
      activation: gelu,
      estimator: float,
      k: 5,
      candidates: 12,
      batch: 2,
    },
    3,
  ),
  lifelike(
    "squared relu, scored by squares",
    {
      ...{
        inputs: 48,
        hidden: 200,
        dtype: "f32",
        activation: squaredRelu,
        estimator: quantized({ bits: 8, activations: "f32" }),
      },
      ...{ group: { size: 4, score: "l2" }, k: 10, candidates: 20, batch: 3 },
    },
    4,
  ),
  lifelike(
    "scored by a function",
    {
      ...{ inputs: 48, hidden: 200, dtype: "f32", activation: relu, estimator: int8 },
      ...{ group: { size: 8, score: (z: number) => Math.max(z, 0) ** 2 }, k: 5, candidates: 12, batch: 2 },
    },
    3,
  ),
  lifelike(
    "tokens so wide that a kernel of its own quantizes them",
    { inputs: 640, hidden: 72, dtype: "bf16", activation: relu, estimator: int4, k: 3, candidates: 6, batch: 16 },
    16,
  ),
];

/** Each adversary as the matrix that is scored; products of the largest floats would exceed f32 on the way. */
const ADVERSARIAL: readonly FfnCase[] = ADVERSARIES.filter(
  ({ name }) => name !== "the largest and smallest floats",
).flatMap((adversary) =>
  (["int8 activations", "f32 activations"] as const).map((kind): FfnCase => {
    const estimator = kind === "int8 activations" ? int4 : quantized({ bits: 8, activations: "f32" });
    return {
      name: `ffn, ${kind}: ${adversary.name}`,
      layer: {
        inputs: 10,
        hidden: 500,
        outputs: 6,
        dtype: "f32",
        activation: relu,
        estimator,
        k: 8,
        candidates: 24,
        batch: 2,
      },
      tokens: 3,
      gate: adversary.weights,
      up: integers(3),
      down: integers(3),
      inputs: adversary.inputs,
      // Sums of such terms depend on their order.
      comparison: /subnormal|\b(bits?|byte)\b/.test(adversary.name) ? "rounded" : "exact",
    };
  }),
);

const SPECIAL: readonly FfnCase[] = [
  {
    ...whole("what is zero times infinity", { inputs: 8, hidden: 64, activation: relu, estimator: int4, k: 4 }, 3),
    up: each((row, _column, random) => (row % 9 === 0 ? Number.POSITIVE_INFINITY : Math.floor(3 * random()))),
    down: each((_output, row, random) => (row % 3 === 0 ? Number.NEGATIVE_INFINITY : Math.floor(3 * random()))),
    gate: each((row, _column, random) => (row % 3 === 0 ? -1 : 1) * (1 + Math.floor(2 * random()))),
    inputs: each((_token, _column, random) => 1 + Math.floor(2 * random())),
  },
];

/** Biases of each matrix and of all, on every kind of score. */
function biased(): FfnCase[] {
  const shape = { inputs: 40, hidden: 205, outputs: 19, k: 5, batch: 3, activation: relu } as const;
  const layers: Readonly<Record<string, Layer>> = {
    "int8 codes, largest": { ...shape, estimator: int4, candidates: 9 },
    "int8 codes, a function": { ...shape, estimator: int8, candidates: 9, group: { score: (z) => Math.max(z, 0) } },
    "f32 codes, squares": { ...shape, estimator: float, candidates: 12, group: { size: 5, score: "l2" } },
    "low rank, sum, common": {
      ...shape,
      estimator: lowRank({ rank: 9, bits: 8 }),
      candidates: 9,
      common: 3,
      group: { score: "sum" },
    },
    "dense, plain": { ...shape, gated: false, estimator: dense(), activation: squaredRelu },
    "int8 codes, plain, two stages": {
      ...shape,
      gated: false,
      estimator: int4,
      candidates: 9,
      select: twoStage({ recall: 0.9 }),
      activation: gelu,
    },
  };
  return Object.entries(layers).flatMap(([name, layer]): FfnCase[] => {
    const all = { gate: normals, ...(layer.gated !== false && { up: normals }), down: normals };
    return [
      { ...lifelike(`bias: ${name}`, layer, 4), bias: all },
      { ...whole(`bias in whole numbers: ${name}`, { ...layer, activation: relu }, 4), bias: wholeOf(all) },
      { ...lifelike(`bias of what is scored: ${name}`, { ...layer, dtype: "f32" }, 4), bias: { gate: normals } },
      { ...lifelike(`bias of the result: ${name}`, { ...layer, dtype: "f16" }, 4), bias: { down: normals } },
    ];
  });
}

function wholeOf(bias: NonNullable<FfnCase["bias"]>): NonNullable<FfnCase["bias"]> {
  return Object.fromEntries(Object.keys(bias).map((of) => [of, integers(9)]));
}

/** Biases that are no ordinary numbers. */
const ODD_BIASES: readonly FfnCase[] = (
  [
    ["of NaN and infinity", [Number.NaN, Number.POSITIVE_INFINITY]],
    ["that silence neurons", [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]],
    ["far larger than any product", [1024, -1024]],
  ] as const
).map(([name, [some, others]]) => ({
  ...whole(
    `a bias ${name}`,
    { inputs: 20, hidden: 96, k: 3, candidates: 5, batch: 2, estimator: int4, activation: relu },
    3,
  ),
  bias: { gate: each((row) => (row % 17 === 3 ? some : row % 5 === 0 ? others : 0)) },
}));

export const FFN_CASES: readonly FfnCase[] = [
  ...SHAPES,
  ...HARDLY_ZERO,
  ...LIFELIKE,
  ...SPECIAL,
  ...ADVERSARIAL,
  ...biased(),
  ...ODD_BIASES,
  ...STATISTICAL_FFN_CASES,
  ...BATCH_FFN_CASES,
];
