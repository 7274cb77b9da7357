// Selection by a threshold: what is normally distributed, and what is not.

import { dense, lowRank, multinomial, quantized, statistical } from "../../dsl/index.ts";
import { ADVERSARIES } from "./adversaries.ts";
import type { FfnCase } from "./ffn-case.ts";
import { each, integers, normals } from "./fills.ts";
import type { SoftmaxCase } from "./softmax-case.ts";

type Layer = SoftmaxCase["layer"];

const select = statistical();

const KINDS: Readonly<Record<string, Layer>> = {
  "int4 codes": { inputs: 64, rows: 1500, k: 9, candidates: 40, estimator: quantized({ bits: 4 }), batch: 3, select },
  "int8 codes on many tiles": {
    inputs: 8,
    rows: 70_001,
    dtype: "f16",
    k: 8,
    candidates: 100,
    estimator: quantized({ bits: 8, group: "row" }),
    batch: 2,
    select,
  },
  "f32 codes": {
    inputs: 65,
    rows: 700,
    dtype: "f32",
    k: 5,
    candidates: 30,
    estimator: quantized({ bits: 4, group: 64, activations: "f32" }),
    select: statistical({ expected: 90 }),
    batch: 16,
  },
  "low rank": { inputs: 50, rows: 900, k: 6, candidates: 40, estimator: lowRank({ rank: 12, bits: 4 }), select },
  dense: { inputs: 40, rows: 1331, k: 10, estimator: dense(), select: statistical({ expected: 60 }), batch: 3 },
};

const random = Object.entries(KINDS).map(
  ([name, layer]): SoftmaxCase => ({
    name: `statistical, ${name}: random`,
    layer,
    tokens: (layer.batch ?? 1) + 1,
    ...{ weights: normals, inputs: normals, comparison: "rounded" },
  }),
);

/** In whole numbers, so that every backend must choose alike; few rows lie above the thresholds of some of these. */
const adversarial = (["int4 codes", "dense"] as const).flatMap((kind) =>
  ADVERSARIES.map(
    (adversary): SoftmaxCase => ({
      ...adversary,
      name: `statistical, ${kind}: ${adversary.name}`,
      layer: { ...KINDS[kind]!, inputs: 10, rows: 600, dtype: "f32", batch: 2 },
      tokens: 3,
      comparison: "exact",
    }),
  ),
);

const small = integers(9);

const SPECIAL: readonly SoftmaxCase[] = (
  [
    ["one row", { inputs: 3, rows: 1, k: 1, estimator: quantized({ bits: 4 }), select }],
    [
      "all rows are expected",
      { inputs: 9, rows: 65, k: 65, candidates: 65, estimator: quantized({ bits: 8 }), select },
    ],
    [
      "more expected than half of the rows",
      {
        inputs: 9,
        rows: 330,
        k: 20,
        candidates: 40,
        estimator: quantized({ bits: 4 }),
        select: statistical({ expected: 250 }),
      },
    ],
    [
      "every option",
      {
        inputs: 33,
        rows: 1200,
        k: 12,
        candidates: 50,
        estimator: quantized({ bits: 4 }),
        select,
        batch: 8,
        bias: "bias",
        mask: true,
        transform: (s) => Math.min(s, 900),
        logSumExp: true,
        tail: "estimate",
        temperature: 60,
        sample: multinomial({ topP: 0.9 }),
      },
    ],
  ] as const satisfies readonly (readonly [string, Layer])[]
).map(([name, layer]) => ({
  name: `statistical: ${name}`,
  layer,
  tokens: 3,
  ...{ weights: small, inputs: small, comparison: "exact" as const },
  ...("bias" in layer && {
    bias: small,
    mask: (row: number) => row % 6 !== 0,
    uniforms: (token: number) => token / 8,
  }),
}));

export const STATISTICAL_CASES: readonly SoftmaxCase[] = [...random, ...adversarial, ...SPECIAL];

const relu = (z: number) => Math.max(z, 0);
const ffn = {
  inputs: 24,
  hidden: 900,
  k: 6,
  candidates: 20,
  estimator: quantized({ bits: 4 }),
  activation: relu,
  select,
};

export const STATISTICAL_FFN_CASES: readonly FfnCase[] = [
  {
    name: "ffn: statistical, whole numbers",
    layer: { ...ffn, batch: 3, common: 2 },
    tokens: 4,
    ...{ gate: small, up: small, down: small, inputs: small, comparison: "exact" },
  },
  {
    name: "ffn: statistical, random, f32 codes",
    layer: {
      ...ffn,
      dtype: "f32",
      estimator: quantized({ bits: 8, activations: "f32" }),
      group: { size: 4, score: "l2" },
    },
    tokens: 3,
    ...{ gate: normals, up: normals, down: normals, inputs: normals, comparison: "rounded" },
  },
  {
    name: "ffn: statistical, one group far above all others",
    layer: { ...ffn, group: { size: 8, score: "sum" }, gated: false },
    tokens: 2,
    gate: each((row) => (row >> 3 === 40 ? 100 : row % 3)),
    ...{ up: small, down: small, inputs: each(() => 2), comparison: "exact" },
  },
  {
    name: "ffn: statistical, two kinds of groups, none far enough above the mean",
    layer: { ...ffn, k: 2, candidates: 4, select: statistical({ expected: 4 }), common: 1, batch: 2 },
    tokens: 3,
    gate: each((row) => ((row >> 3) % 7 < 3 ? 1 : -1)),
    ...{ up: small, down: small, inputs: each(() => 2), comparison: "exact" },
  },
  {
    name: "ffn: statistical, fewer groups above than are wanted",
    layer: { ...ffn, k: 5, candidates: 6, select: statistical({ expected: 6 }), batch: 2 },
    tokens: 3,
    gate: each((row) => (row >> 3 === 7 || row >> 3 === 90 ? 9 : row % 2)),
    ...{ up: small, down: small, inputs: each(() => 2), comparison: "exact" },
  },
];
