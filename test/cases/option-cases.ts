// Cases of what a layer may do besides: bias, mask, temperature, log-sum-exp, samplers; each alone and all together.

import { dense, exact, greedy, lowRank, multinomial, quantized, twoStage } from "../../dsl/index.ts";
import { changed, each, integers, normals } from "./fills.ts";
import { integer, normal } from "./random.ts";
import type { Fill, SoftmaxCase } from "./softmax-case.ts";

type Layer = SoftmaxCase["layer"];

/** What a layer is asked for, and what its data need for it. */
interface Option {
  readonly name: string;
  readonly layer: Partial<Layer>;
  readonly data?: Pick<SoftmaxCase, "bias" | "mask" | "uniforms">;
}

const biases: Fill = each((_row, _column, random) => 4 * normal(random));

/** The first and the last numbers that there are, some between, and some that are none. */
const UNIFORMS = [0, 1 - 2 ** -24, 0.31, 0.77, 0.05, 0.93, Number.NaN, -3, 2, 0.5001];
const uniforms = (token: number) => UNIFORMS[token % UNIFORMS.length]!;

const OPTIONS: readonly Option[] = [
  { name: "bias", layer: { bias: "bias" }, data: { bias: biases } },
  { name: "mask", layer: { mask: true }, data: { mask: (row) => row % 3 !== 1 } },
  { name: "a mask that is not given", layer: { mask: true } },
  { name: "temperature", layer: { temperature: 0.7 } },
  { name: "a softcap", layer: { transform: (s) => 3 * Math.tanh(s / 3) } },
  { name: "log-sum-exp of the candidates", layer: { logSumExp: true } },
  { name: "log-sum-exp with its tail estimated", layer: { logSumExp: true, tail: "estimate" } },
  { name: "the best row", layer: { sample: greedy() } },
  { name: "rows drawn at random", layer: { sample: multinomial() }, data: { uniforms } },
  {
    name: "rows drawn at random from few",
    layer: { sample: multinomial({ topK: 5, topP: 0.8 }), temperature: 3 },
    data: { uniforms },
  },
  {
    name: "everything",
    layer: {
      bias: "bias",
      mask: true,
      transform: (s) => (s < 0 ? s / 4 : Math.min(s, 6)),
      temperature: 1.9,
      logSumExp: true,
      tail: "estimate",
      sample: multinomial({ topK: 7, topP: 0.95 }),
    },
    data: { bias: biases, mask: (row) => row % 5 !== 0, uniforms },
  },
];

/** Each option with another dtype and batch on each kind of score. */
function alone(): SoftmaxCase[] {
  const quantizing = { k: 9, candidates: 40 };
  const kinds: Readonly<Record<string, Layer>> = {
    int8: { ...quantizing, inputs: 100, rows: 330, estimator: quantized({ bits: 4 }), select: exact() },
    "int8 in two stages": {
      ...quantizing,
      inputs: 33,
      rows: 257,
      estimator: quantized({ bits: 8, group: "row" }),
      select: twoStage({ recall: 0.9 }),
    },
    // All rows are candidates, so that rounding decides nothing.
    f32: {
      inputs: 65,
      rows: 130,
      k: 11,
      candidates: 130,
      estimator: quantized({ bits: 4, group: 64, activations: "f32" }),
      select: exact(),
    },
    dense: { inputs: 40, rows: 331, k: 10, estimator: dense() },
    "int8 low rank": {
      ...quantizing,
      inputs: 50,
      rows: 310,
      estimator: lowRank({ rank: 12, bits: 4 }),
      select: exact(),
    },
    // All rows are candidates again.
    "f32 low rank": { inputs: 24, rows: 70, k: 9, candidates: 70, estimator: lowRank({ rank: 5, bits: 16 }) },
  };
  return Object.entries(kinds).flatMap(([kind, layer], i) =>
    OPTIONS.map((option, j): SoftmaxCase => {
      const batch = [1, 3, 8, 16][(i + j) % 4]!;
      return {
        name: `${kind}: ${option.name}`,
        layer: { ...layer, dtype: (["f32", "f16", "bf16"] as const)[(i + 2 * j) % 3]!, batch, ...option.layer },
        tokens: batch + 2,
        weights: each((_row, _column, random) => normal(random) / 5),
        inputs: normals,
        comparison: "rounded",
        ...option.data,
      };
    }),
  );
}

const { NaN: NAN, POSITIVE_INFINITY: INFINITY, NEGATIVE_INFINITY } = Number;

const everything: Partial<Layer> = {
  bias: "bias",
  mask: true,
  logSumExp: true,
  tail: "estimate",
  sample: multinomial({ topP: 0.9 }),
};

/** Masks that leave few rows or none, and scores that have no sum. */
function edges(): SoftmaxCase[] {
  const shape = { rows: 300, k: 20, batch: 3, dtype: "f32" } as const;
  const kinds: Readonly<Record<string, Layer>> = {
    "int8 activations": { ...shape, inputs: 40, candidates: 60, estimator: quantized({ bits: 4 }), select: exact() },
    "f32 activations": {
      ...shape,
      inputs: 40,
      candidates: 300,
      estimator: quantized({ bits: 8, activations: "f32" }),
    },
    dense: { ...shape, inputs: 10, estimator: dense() },
  };
  const zeros: Fill = each(() => 0);
  const small = integers(3);
  const spread: Fill = each((_row, _column, random) => integer(random, -40, 40));
  const cases: readonly (Option & { readonly inputs?: Fill })[] = [
    { name: "no row is allowed", layer: everything, data: { bias: zeros, mask: () => false, uniforms } },
    {
      name: "one row less than k is allowed",
      layer: everything,
      data: { bias: zeros, mask: (row) => row < 19, uniforms },
    },
    { name: "k rows are allowed", layer: everything, data: { bias: zeros, mask: (row) => row >= 280, uniforms } },
    {
      name: "one row is allowed",
      layer: { ...everything, sample: greedy() },
      data: { bias: zeros, mask: (row) => row === 299 },
    },
    { name: "fewer rows than candidates are allowed", layer: { mask: true }, data: { mask: (row) => row % 7 === 2 } },
    {
      name: "the best row is forbidden, scores tie",
      layer: everything,
      data: { bias: zeros, mask: (row) => row > 2, uniforms },
    },
    {
      name: "NaN in the bias",
      layer: everything,
      data: { bias: changed(small, (set) => void set(77, 0, NAN)), uniforms },
    },
    {
      name: "infinities in the bias",
      layer: everything,
      data: {
        bias: changed(small, (set) => {
          set(5, 0, INFINITY);
          set(6, 0, NEGATIVE_INFINITY);
          set(299, 0, INFINITY);
        }),
        uniforms,
      },
    },
    {
      name: "a bias of -infinity but for a few rows",
      layer: everything,
      data: { bias: each((row) => (row % 40 === 3 ? row : NEGATIVE_INFINITY)), uniforms },
    },
    { name: "all scores -infinity", layer: everything, data: { bias: each(() => NEGATIVE_INFINITY), uniforms } },
    {
      name: "NaN in a row that is forbidden",
      layer: everything,
      data: { bias: changed(small, (set) => void set(77, 0, NAN)), mask: (row) => row !== 77, uniforms },
    },
    {
      name: "scores that exp would overflow, and far apart",
      layer: { ...everything, temperature: 0.25 },
      data: { bias: each((_row, _column, random) => 256 * integer(random, -40, 40)), uniforms },
    },
    {
      name: "all scores infinite, softcapped",
      layer: { ...everything, transform: (s) => 30 * Math.tanh(s / 30) },
      data: { bias: each((row) => (row % 2 ? NEGATIVE_INFINITY : INFINITY)), uniforms },
    },
    {
      name: "a transform that makes all values equal",
      layer: { ...everything, transform: (s) => Math.min(Math.max(s, 0.5), 0.5) },
      data: { bias: spread, uniforms },
    },
    { name: "a bias larger than any score", layer: everything, data: { bias: spread, uniforms } },
    {
      name: "NaN in one token of several",
      layer: everything,
      data: { bias: small, uniforms },
      inputs: changed(small, (set) => set(1, 6, NAN)),
    },
    {
      name: "zero tokens",
      layer: everything,
      data: { bias: small, uniforms },
      inputs: each((token, _column, random) => (token % 2 ? integer(random, -3, 3) : 0)),
    },
  ];
  return Object.entries(kinds).flatMap(([kind, base]) =>
    cases.map(
      ({ name, layer, data, inputs = small }): SoftmaxCase => ({
        name: `${kind} and options: ${name}`,
        layer: { ...base, ...layer },
        tokens: 5,
        weights: small,
        inputs,
        comparison: "exact",
        ...data,
      }),
    ),
  );
}

/** Layers so large, or so small, that their kernels are made differently. */
const SHAPES: readonly SoftmaxCase[] = [
  {
    name: "every option on two tiles a bucket",
    layer: {
      inputs: 8,
      rows: 100_003,
      dtype: "f16",
      estimator: quantized({ bits: 4 }),
      k: 8,
      candidates: 64,
      batch: 2,
      ...everything,
      temperature: 5,
    },
    tokens: 2,
    weights: each((row, column) => (column === 0 ? row % 600 : column === 1 ? 7 : 0)),
    inputs: each((token, column) => (column === 0 ? 1 - 2 * token : 0)),
    bias: each((row) => row % 3),
    mask: (row) => row % 600 !== 599,
    uniforms,
    comparison: "exact",
  },
  {
    name: "every option on tokens quantized by a kernel of its own",
    layer: {
      inputs: 520,
      rows: 700,
      dtype: "f16",
      estimator: quantized({ bits: 4, group: 128 }),
      k: 8,
      candidates: 64,
      batch: 16,
      ...everything,
      temperature: 5,
    },
    tokens: 2,
    weights: each((row, column) => (column === 0 ? row % 600 : column === 1 ? 7 : 0)),
    inputs: each((token, column) => (column === 0 ? 1 - 2 * token : 0)),
    bias: each((row) => row % 3),
    mask: (row) => row % 600 !== 599,
    uniforms,
    comparison: "exact",
  },
  {
    name: "every option on tokens quantized by a kernel of its own, and on codes of two planes",
    layer: {
      inputs: 520,
      rows: 700,
      dtype: "f16",
      estimator: quantized({ bits: 6, group: 32 }),
      k: 8,
      candidates: 64,
      batch: 16,
      ...everything,
      temperature: 5,
    },
    tokens: 2,
    weights: each((row, column) => (column === 0 ? row % 600 : column === 1 ? 7 : 0)),
    inputs: each((token, column) => (column === 0 ? 1 - 2 * token : 0)),
    bias: each((row) => row % 3),
    mask: (row) => row % 600 !== 599,
    uniforms,
    comparison: "exact",
  },
  {
    name: "every option on more candidates than fit into workgroup memory",
    layer: {
      inputs: 16,
      rows: 2500,
      dtype: "bf16",
      estimator: quantized({ bits: 4 }),
      k: 1900,
      candidates: 2100,
      select: exact(),
      batch: 2,
      ...everything,
      temperature: 20,
      sample: greedy(),
    },
    tokens: 3,
    weights: integers(9),
    inputs: integers(9),
    bias: integers(9),
    mask: (row) => row % 5 !== 0,
    comparison: "exact",
  },
  {
    name: "every option on more exact scores than fit into workgroup memory, with rows kept in storage",
    layer: {
      inputs: 4,
      rows: 98_400,
      dtype: "f32",
      estimator: dense(),
      k: 2000,
      batch: 2,
      ...everything,
      temperature: 9,
    },
    tokens: 2,
    weights: integers(20),
    inputs: integers(20),
    bias: integers(20),
    mask: (row) => row % 2 === 0,
    uniforms,
    comparison: "exact",
  },
  {
    name: "every option on all rows, k = rows",
    layer: {
      inputs: 7,
      rows: 65,
      dtype: "f16",
      estimator: quantized({ bits: 8 }),
      k: 65,
      candidates: 65,
      ...everything,
      sample: greedy(),
    },
    tokens: 3,
    weights: integers(3),
    inputs: integers(3),
    bias: integers(3),
    mask: (row) => row !== 64,
    comparison: "exact",
  },
  {
    name: "every option on a single row",
    layer: { inputs: 1, rows: 1, dtype: "f32", estimator: quantized({ bits: 4 }), k: 1, ...everything },
    tokens: 2,
    weights: integers(3),
    inputs: integers(3),
    bias: integers(3),
    uniforms,
    comparison: "exact",
  },
];

export const OPTION_CASES: readonly SoftmaxCase[] = [...alone(), ...edges(), ...SHAPES];
