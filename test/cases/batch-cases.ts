// Layers of which a CUDA kernel scores whole batches with tensor cores: every number of tokens, columns and groups that is
// left over in some part of it, on rows enough for one thread to a row and on so few that several share one.

import { exact, lowRank, multinomial, quantized, statistical, twoStage } from "../../dsl/index.ts";
import type { FfnCase } from "./ffn-case.ts";
import { each, integers, normals } from "./fills.ts";
import type { SoftmaxCase } from "./softmax-case.ts";

type Layer = SoftmaxCase["layer"];

const small = integers(9);

const SHAPES: readonly (readonly [
  bits: 4 | 8,
  group: 32 | 64 | 128 | "row",
  batch: number,
  inputs: number,
  more?: Partial<Layer>,
])[] = [
  [4, 32, 4, 300],
  [4, 32, 5, 257, { mask: true, bias: "bias" }],
  [4, 32, 8, 120, { certify: "report" }],
  [4, 32, 9, 70, { select: statistical() }],
  [4, 32, 16, 611, { logSumExp: true, tail: "estimate" }],
  [4, 64, 8, 300, { bias: "bias" }],
  [4, 64, 13, 129],
  [4, 128, 9, 1150, { certify: "report", mask: true }],
  [4, 128, 16, 1100],
  [4, "row", 5, 33],
  [4, "row", 16, 1111, { mask: true }],
  [8, 32, 5, 90, { certify: "report" }],
  [8, 32, 16, 513],
  [8, 64, 9, 200, { select: statistical(), bias: "bias", logSumExp: true, tail: "estimate" }],
  [8, 64, 8, 640],
  [8, 32, 13, 650, { bias: "bias" }],
  [8, 128, 12, 129, { mask: true }],
  [8, 128, 16, 520, { logSumExp: true, tail: "estimate", bias: "bias" }],
  [8, "row", 8, 1],
  [8, "row", 9, 250],
];

const shapes = SHAPES.map(([bits, group, batch, inputs, more = {}], i): SoftmaxCase => {
  const options = Object.keys(more).join(", ");
  return {
    name: `batch ${batch} of ${inputs} inputs, int${bits} group ${group}${options && `, ${options}`}`,
    layer: {
      ...{ inputs, rows: [200, 130, 331][i % 3]!, dtype: (["bf16", "f32", "f16"] as const)[i % 3]!, batch },
      ...{ estimator: quantized({ bits, group }), k: 6, candidates: 30 },
      ...{ select: i % 2 ? exact() : twoStage({ recall: 0.9 }), ...more },
    },
    tokens: batch + 1,
    weights: small,
    inputs: small,
    ...(more.bias !== undefined && { bias: small }),
    ...(more.mask && { mask: (row: number) => row % 5 !== 0 }),
    comparison: "exact",
  };
});

const LARGE: readonly SoftmaxCase[] = [
  {
    name: "batch 9, rows enough for two tiles a bucket",
    layer: {
      ...{ inputs: 40, rows: 98_400, dtype: "f16", batch: 9 },
      ...{ estimator: quantized({ bits: 4 }), k: 8, candidates: 64, select: exact() },
    },
    tokens: 9,
    ...{ weights: integers(3), inputs: small, comparison: "exact" },
  },
  {
    name: "batch 4, rows enough for two tiles a bucket, statistical",
    layer: {
      ...{ inputs: 8, rows: 70_001, dtype: "f16", batch: 4 },
      ...{ estimator: quantized({ bits: 8, group: "row" }), k: 8, candidates: 100, select: statistical() },
    },
    tokens: 4,
    ...{ weights: small, inputs: small, comparison: "exact" },
  },
  {
    name: "batch 6, more kept rows than lanes of a warp, every option",
    layer: {
      ...{ inputs: 330, rows: 150, dtype: "f32", batch: 6 },
      ...{ estimator: quantized({ bits: 4, group: 64 }), k: 60, candidates: 120, select: exact() },
      ...{ bias: "bias", mask: true, logSumExp: true, tail: "estimate", temperature: 20 },
      sample: multinomial({ topP: 0.9 }),
    },
    tokens: 7,
    ...{ weights: small, inputs: small, bias: small, comparison: "exact" },
    mask: (row) => row % 9 !== 4,
    uniforms: (token) => token / 8,
  },
  {
    name: "batch 8, rank 40 of 8 bits",
    layer: {
      ...{ inputs: 100, rows: 300, dtype: "bf16", batch: 8 },
      ...{ estimator: lowRank({ rank: 40, bits: 8 }), k: 6, candidates: 40 },
    },
    tokens: 9,
    ...{ weights: normals, inputs: normals, comparison: "rounded" },
  },
  {
    name: "batch 5, NaN in a token and in a row",
    layer: {
      ...{ inputs: 200, rows: 140, dtype: "f32", batch: 5 },
      ...{ estimator: quantized({ bits: 4, group: 128 }), k: 6, candidates: 40, select: exact() },
    },
    tokens: 5,
    weights: each((row, column, random) => (row === 77 && column === 3 ? Number.NaN : Math.floor(19 * random()) - 9)),
    inputs: each((token, column, random) =>
      token === 2 && column === 199 ? Number.NaN : Math.floor(19 * random()) - 9,
    ),
    comparison: "exact",
  },
];

export const BATCH_CASES: readonly SoftmaxCase[] = [...shapes, ...LARGE];

const relu = (z: number) => Math.max(z, 0);
const ffn = { inputs: 100, hidden: 400, outputs: 20, k: 5, candidates: 12, activation: relu } as const;

const feedForwards: Readonly<Record<string, FfnCase["layer"]>> = {
  "batch 5, int4 codes": { ...ffn, estimator: quantized({ bits: 4 }), batch: 5 },
  "batch 8, int4 codes of wide groups, common": {
    ...{ ...ffn, inputs: 390, estimator: quantized({ bits: 4, group: 128 }), batch: 8, common: 2 },
    group: { size: 5, score: "sum" },
  },
  "batch 9, int8 codes, scored by squares": {
    ...{ ...ffn, estimator: quantized({ bits: 8, group: 64 }), batch: 9 },
    group: { size: 16, score: "l2" },
  },
  "batch 11, tokens so wide that a kernel of its own quantizes them": {
    ...{ ...ffn, inputs: 2300, hidden: 72, k: 2, candidates: 4, estimator: quantized({ bits: 4 }), batch: 11 },
  },
  "batch 16, int8 codes, statistical": { ...ffn, estimator: quantized({ bits: 8 }), batch: 16, select: statistical() },
};

export const BATCH_FFN_CASES: readonly FfnCase[] = Object.entries(feedForwards).map(([name, layer]) => ({
  name: `ffn: ${name}`,
  layer,
  tokens: layer.batch! + 1,
  ...{ gate: integers(3), up: integers(3), down: integers(3), inputs: integers(3), comparison: "exact" },
}));
