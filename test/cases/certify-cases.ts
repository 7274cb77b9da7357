// Layers that are certified: some whose tokens have clear winners, so that proofs succeed, and some where none can.

import { dense, exact, multinomial, quantized, twoStage } from "../../dsl/index.ts";
import { ADVERSARIES } from "./adversaries.ts";
import { each, integers, normals } from "./fills.ts";
import { normal } from "./random.ts";
import type { Fill, SoftmaxCase } from "./softmax-case.ts";

type Layer = SoftmaxCase["layer"];

/** Some rows far longer than the others and of one sign, and tokens that they are near to: clear winners. */
const winners: Fill = each((row, _column, random) => (row % 37 === 5 ? 4 + row / 1000 : 0) + normal(random));
const towardsWinners: Fill = each((_token, _column, random) => 1 + normal(random) / 4);
/** The same in whole numbers, whose sums are exact. */
const wholeWinners: Fill = each((row, _column, random) => (row % 37 === 5 ? 20 : 0) + Math.floor(9 * random()) - 4);
const towardsWholeWinners: Fill = each((_token, _column, random) => 6 + Math.floor(5 * random()));

const FORMATS: readonly { readonly name: string; readonly layer: Layer }[] = [
  {
    name: "int4 group 32, report",
    layer: {
      inputs: 100,
      rows: 700,
      estimator: quantized({ bits: 4 }),
      k: 5,
      candidates: 60,
      certify: "report",
      batch: 3,
    },
  },
  {
    name: "int4 row, exact selection, fallback",
    layer: {
      inputs: 64,
      rows: 1100,
      dtype: "f32",
      estimator: quantized({ bits: 4, group: "row" }),
      k: 7,
      candidates: 50,
      select: exact(),
      certify: "fallback",
      batch: 4,
    },
  },
  {
    name: "int8 group 128, fallback",
    layer: {
      inputs: 300,
      rows: 1300,
      dtype: "f16",
      estimator: quantized({ bits: 8, group: 128 }),
      k: 16,
      candidates: 80,
      select: twoStage({ recall: 0.9 }),
      certify: "fallback",
      batch: 16,
    },
  },
  {
    name: "int4 group 64 on f32 tokens, fallback",
    layer: {
      inputs: 130,
      rows: 900,
      estimator: quantized({ bits: 4, group: 64, activations: "f32" }),
      k: 4,
      candidates: 70,
      certify: "fallback",
      batch: 2,
    },
  },
  {
    name: "int8 row on f32 tokens, report",
    layer: {
      inputs: 32,
      rows: 333,
      dtype: "f32",
      estimator: quantized({ bits: 8, group: "row", activations: "f32" }),
      k: 3,
      candidates: 40,
      certify: "report",
      batch: 8,
    },
  },
  {
    name: "dense in two stages, report",
    layer: {
      inputs: 40,
      rows: 600,
      estimator: dense(),
      k: 9,
      select: twoStage({ recall: 0.8 }),
      certify: "report",
      batch: 3,
    },
  },
];

const formats = FORMATS.flatMap(({ name, layer }): SoftmaxCase[] => [
  {
    name: `certified ${name}: clear winners`,
    layer,
    tokens: (layer.batch ?? 1) + 1,
    weights: winners,
    inputs: towardsWinners,
    comparison: "rounded",
  },
  {
    name: `certified ${name}: clear winners in whole numbers`,
    layer,
    tokens: (layer.batch ?? 1) + 1,
    weights: wholeWinners,
    inputs: towardsWholeWinners,
    comparison: "exact",
  },
  {
    name: `certified ${name}: random`,
    layer,
    tokens: (layer.batch ?? 1) + 1,
    weights: normals,
    inputs: normals,
    comparison: "rounded",
  },
]);

/** With whatever else a certified layer may do, on many rows, and on fewer than are returned. */
const withOptions = FORMATS.flatMap(({ name, layer }): SoftmaxCase[] => {
  const options: Partial<Layer> = {
    mask: true,
    transform: (s) => 50 * Math.tanh(s / 50),
    temperature: 1.5,
    sample: multinomial({ topP: 0.9 }),
    ...(layer.certify === "report" && { logSumExp: true }),
  };
  const base = { layer: { ...layer, ...options }, tokens: (layer.batch ?? 1) + 1, comparison: "rounded" } as const;
  const uniforms = (token: number) => ((token * 37) % 100) / 100;
  return [
    {
      ...base,
      name: `certified ${name}, and options: clear winners`,
      ...{ weights: winners, inputs: towardsWinners, uniforms, mask: (row) => row % 5 !== 0 },
    },
    {
      ...base,
      name: `certified ${name}, and options: random`,
      ...{ weights: normals, inputs: normals, uniforms, mask: (row) => row % 7 !== 3 },
    },
    {
      ...base,
      name: `certified ${name}, and options: two rows are allowed`,
      ...{ weights: normals, inputs: normals, uniforms, mask: (row) => row === 4 || row === 300 },
    },
  ];
});

/** What breaks selections, on every kind of proof and with every remedy. */
function adversarial(): SoftmaxCase[] {
  const shape = { rows: 600, dtype: "f32", k: 20, batch: 2 } as const;
  const layers: Readonly<Record<string, Layer>> = {
    "int8 tokens, fallback": {
      ...shape,
      inputs: 40,
      candidates: 60,
      estimator: quantized({ bits: 4 }),
      certify: "fallback",
    },
    "f32 tokens, fallback": {
      ...shape,
      inputs: 40,
      candidates: 60,
      estimator: quantized({ bits: 8, activations: "f32" }),
      select: exact(),
      certify: "fallback",
    },
    "int8 tokens, report": {
      ...shape,
      inputs: 40,
      candidates: 60,
      estimator: quantized({ bits: 8, group: "row" }),
      select: twoStage({ recall: 0.9 }),
      certify: "report",
    },
    "dense, report": {
      ...shape,
      inputs: 10,
      estimator: dense(),
      select: twoStage({ recall: 0.9 }),
      certify: "report",
    },
  };
  return Object.entries(layers).flatMap(([kind, layer]) =>
    ADVERSARIES.map(
      (adversary): SoftmaxCase => ({
        ...adversary,
        name: `certified ${kind}: ${adversary.name}`,
        layer,
        tokens: 3,
        comparison: "exact",
      }),
    ),
  );
}

const SHAPES: readonly SoftmaxCase[] = (
  [
    ["one row", { inputs: 1, rows: 1, k: 1, estimator: quantized({ bits: 4 }), certify: "fallback" }],
    [
      "every row a candidate",
      { inputs: 7, rows: 65, k: 3, candidates: 65, estimator: quantized({ bits: 4 }), certify: "report" },
    ],
    [
      "every row returned",
      { inputs: 33, rows: 66, k: 66, candidates: 66, estimator: quantized({ bits: 8 }), certify: "fallback", batch: 2 },
    ],
    [
      "as many candidates as results",
      { inputs: 33, rows: 130, k: 2, candidates: 2, estimator: quantized({ bits: 8 }), certify: "fallback", batch: 2 },
    ],
    [
      "more results than a block keeps",
      { inputs: 16, rows: 1500, k: 700, candidates: 800, estimator: quantized({ bits: 4 }), certify: "fallback" },
    ],
    [
      "more candidates than fit into workgroup memory",
      {
        inputs: 16,
        rows: 2500,
        k: 1900,
        candidates: 2100,
        estimator: quantized({ bits: 4 }),
        select: exact(),
        certify: "fallback",
        batch: 2,
      },
    ],
    [
      "rows enough for two tiles a bucket",
      {
        inputs: 8,
        rows: 100_003,
        dtype: "f16",
        estimator: quantized({ bits: 4 }),
        k: 8,
        candidates: 64,
        certify: "fallback",
        batch: 2,
      },
    ],
    [
      "tokens quantized by a kernel of their own",
      {
        inputs: 1111,
        rows: 70,
        dtype: "f32",
        estimator: quantized({ bits: 8, group: 128 }),
        k: 3,
        batch: 8,
        certify: "fallback",
      },
    ],
    [
      "kept rows grown in storage",
      {
        inputs: 512,
        rows: 200,
        estimator: quantized({ bits: 4, group: 128 }),
        k: 10,
        candidates: 100,
        select: exact(),
        batch: 16,
        certify: "report",
      },
    ],
    [
      "f32 tokens too wide to be staged",
      {
        inputs: 612,
        rows: 130,
        dtype: "f16",
        estimator: quantized({ bits: 8, activations: "f32" }),
        k: 10,
        candidates: 40,
        batch: 8,
        certify: "fallback",
      },
    ],
  ] as const satisfies readonly (readonly [string, Layer])[]
).map(([name, layer]) => ({
  name: `certified: ${name}`,
  layer,
  tokens: "batch" in layer ? layer.batch + 1 : 2,
  weights: integers(9),
  inputs: integers(9),
  comparison: "exact",
}));

export const CERTIFY_CASES: readonly SoftmaxCase[] = [...formats, ...withOptions, ...adversarial(), ...SHAPES];
