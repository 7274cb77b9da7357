// What the ablations measure, against definitions and against what calibration measures, on small random layers.

import { describe, expect, test } from "vitest";
import { bytesOf } from "../../bench/ablations/bytes.ts";
import { byFrequency, choicesOf, type StudyLayer } from "../../bench/ablations/layer.ts";
import { runSettings } from "../../bench/ablations/run.ts";
import { codes, factors, type Grid, keyOf, type Setting } from "../../bench/ablations/settings.ts";
import { studyLayer } from "../../bench/ablations/study.ts";
import { syntheticFfn, syntheticHead } from "../../bench/ablations/synthetic.ts";
import { withSetting } from "../../compiler/calibrate/grid.ts";
import { tile } from "../../compiler/tile.ts";
import type { FfnResult, SoftmaxResult } from "../../runtime/layer.ts";
import { copyOf, shareBases } from "../../runtime/measure/copy.ts";
import { evaluateTokens } from "../../runtime/measure/evaluation.ts";
import { exactLayer } from "../../runtime/measure/exact.ts";
import { plainProduct } from "../../runtime/measure/product.ts";
import { estimatedScores } from "../../runtime/measure/scores.ts";
import { measureSettings } from "../../runtime/measure/settings.ts";
import { emptyRow, quantizeRow } from "../../runtime/pack/quantize.ts";
import { blockReader, type WeightMatrix } from "../../runtime/pack/weights.ts";

const TOKENS = 40;
const head = syntheticHead({
  ...{ model: "small", name: "head", rows: 1000, every: 1, inputs: 64, k: 16, decay: 0.25, tokens: TOKENS },
});
const ffn = syntheticFfn({
  model: "small",
  inputs: 64,
  hidden: 512,
  every: 1,
  group: 8,
  share: 0.1,
  decay: 0.25,
  tokens: TOKENS,
});
const layers: readonly (readonly [string, StudyLayer])[] = [
  ["a head", head],
  ["a feed-forward", ffn],
];
const spread = (shards: number, slack: number, layout: "interleaved" | "contiguous" = "interleaved") => ({
  ...{ shards, layout, slack },
});

async function outcomes(study: StudyLayer, settings: readonly Setting[]) {
  const exact = await exactLayer(tile(study.layer), study.weights, study.x, plainProduct, () => true);
  const found = await runSettings(study, exact, settings, plainProduct);
  const evaluated = found.map(({ result }) => evaluateTokens(exact, result));
  return { exact, found, evaluated };
}

function matrixOf(matrix: WeightMatrix): Float32Array {
  const values = new Float32Array(matrix.rows * matrix.inputs);
  blockReader(matrix)(0, matrix.rows, values);
  return values;
}

describe.each(layers)("%s", (_name, study) => {
  const { layer } = study;

  test("recalls by compression alone what calibration measures", async () => {
    const settings = [codes(2), codes(4), factors(32, "weights")].map((estimator): Setting => {
      return { method: "compression", estimator, candidates: Math.ceil(1.5 * layer.k) };
    });
    const { exact, evaluated } = await outcomes(study, settings);
    for (const [i, setting] of settings.entries()) {
      if (setting.method !== "compression") continue;
      const { estimator, candidates } = setting;
      const plan = tile(withSetting(layer, { estimator, candidates, select: { kind: "exact" } }));
      const copy = copyOf(plan, study.weights.scored, study.x, study.fit, study.bases, plainProduct);
      const estimated = await estimatedScores(copy, layer.rows, plainProduct);
      const [measured] = measureSettings(exact, estimated, [plan], study.x);
      expect(evaluated[i]!.recall).toEqual(measured!.recall);
      expect(Math.min(...measured!.recall)).toBeLessThan(1);
      evaluated[i]!.error?.forEach((error, token) => void expect(error).toBeCloseTo(measured!.error[token]!, 4));
      expect(bytesOf(layer, setting)).toBe(plan.bytes.score + plan.bytes.rescore);
    }
  });

  test("loses nothing where nothing is dropped", async () => {
    const all = choicesOf(layer);
    const settings: Setting[] = [
      { method: "compression", estimator: codes(2), candidates: all },
      // A shard that keeps k keeps whatever it has of the k best.
      { method: "distributed", spread: spread(4, 4) },
      { method: "distributed", spread: spread(4, 4, "contiguous") },
      { method: "inputs", share: 1 },
      ...(layer.kind === "ffn" ? [{ method: "gates", share: 1 } as const] : []),
      { method: "shortlist", by: "popularity", share: 1 },
    ];
    const { found, evaluated, exact } = await outcomes(study, settings);
    evaluated.forEach(({ recall, agreement, divergence, unavoidable, error }, i) => {
      const name = keyOf(settings[i]!);
      expect([...recall], name).toEqual([...recall].fill(1));
      expect([...agreement], name).toEqual([...agreement].fill(1));
      divergence?.forEach((each, token) => void expect(each, name).toBeCloseTo(unavoidable![token]!, 5));
      // Over shards a feed-forward adds up more groups than one device does.
      if (settings[i]!.method !== "distributed") error?.forEach((each) => void expect(each, name).toBeCloseTo(0, 6));
      if (layer.kind !== "softmax") return;
      const { indices } = found[i]!.result as SoftmaxResult;
      expect([...indices], name).toEqual(exact.best.flatMap((rows) => [...rows]));
    });
  });

  test("reads more bytes with more bits, and over shards what its shards read", () => {
    const bytes = (setting: Setting) => bytesOf(layer, setting, 0.5);
    const { k, candidates } = layer;
    expect(bytes({ method: "codes", estimator: codes(2) })).toBeLessThan(
      bytes({ method: "codes", estimator: codes(4) }),
    );
    const whole = bytes({
      method: "compression",
      estimator: codes(4),
      candidates: layer.kind === "ffn" ? candidates : k,
    });
    const parts = bytes({ method: "both", estimator: codes(4), spread: spread(2, 1) });
    expect(Math.abs(parts / whole - 1)).toBeLessThan(0.15);
    expect(bytes({ method: "shortlist", by: "popularity", share: 0.5 })).toBeLessThan(tile(layer).bytes.dense);
  });
});

test("low ranks of random rows recall on the stated basis what they recall on the one that is found in the rows", async () => {
  const setting: Setting = { method: "compression", estimator: factors(32, "weights"), candidates: 32 };
  const recallOn = async (bases: StudyLayer["bases"]) => {
    const { evaluated } = await outcomes({ ...head, bases }, [setting]);
    return evaluated[0]!.recall.subarray(TOKENS).reduce((a, b) => a + b) / TOKENS;
  };
  const found = await recallOn(shareBases(head.weights.scored));
  expect(Math.abs((await recallOn(head.bases)) - found)).toBeLessThan(0.04);
});

test("random rows are lost over shards as the closed form predicts", async () => {
  const tokens = 300;
  const study = syntheticHead({
    ...{ model: "small", name: "head", rows: 2000, every: 1, inputs: 32, k: 16, decay: 0, tokens },
  });
  const grid: Grid = {
    ...{ estimators: [], candidates: [], shards: [2, 4, 16], slacks: [1, 1.5, 2] },
    ...{ combined: { estimators: [], shards: [], slacks: [] }, inputs: [], gates: [], shortlists: [] },
  };
  const { points } = await studyLayer(study, grid, plainProduct);
  const even = points.filter(({ part }) => part === "even");
  expect(even).toHaveLength(18);
  for (const { predicted, recall, setting } of even) {
    // Rows of a token are lost together, so that this bounds the deviation of a mean over tokens.
    const deviation = Math.sqrt((predicted! * (1 - predicted!)) / tokens);
    expect(Math.abs(recall.mean - predicted!), keyOf(setting)).toBeLessThan(0.5 * deviation + 0.002);
  }
  const ranges = points.filter(({ part, setting }) => {
    return part === "popular" && keyOf(setting).includes('"layout":"contiguous","slack":1}');
  });
  expect(ranges).toHaveLength(3);
  for (const { predicted, recall } of ranges) expect(recall.mean).toBeLessThan(predicted! - 0.03);
});

describe("codes that are not recomputed", () => {
  // With tokens as they are, so that the definition is short.
  const estimator = { ...codes(4), activations: "f32" } as const;

  /** What the packer's codes stand for, f64 `[rows, inputs]`. */
  function decoded({ rows, inputs, ...matrix }: WeightMatrix, importance?: Float32Array): Float64Array {
    const values = matrixOf({ rows, inputs, ...matrix });
    const [group, groups] = [64, Math.ceil(inputs / 64)];
    const format = { bits: 4, group, groups, scaleMax: 255 } as const;
    const row = emptyRow(format);
    return Float64Array.from({ length: rows }, (_, i) => i).reduce(
      (all, i) => {
        const padded = new Float32Array(group * groups);
        padded.set(values.subarray(i * inputs, (i + 1) * inputs));
        quantizeRow(padded, format, row, importance);
        for (let j = 0; j < inputs; j++) {
          all[i * inputs + j] = row.levels[j]! * row.scales[Math.floor(j / group)]! * row.rowScale;
        }
        return all;
      },
      new Float64Array(rows * inputs),
    );
  }

  function importanceOf({ fit, layer }: StudyLayer): Float32Array {
    const means = new Float64Array(layer.inputs);
    fit.forEach((value, i) => {
      means[i % layer.inputs]! += (value * value * layer.inputs) / fit.length;
    });
    return Float32Array.from(means);
  }

  const times = (matrix: Float64Array, x: ArrayLike<number>) => {
    const inputs = x.length;
    return Float64Array.from({ length: matrix.length / inputs }, (_, row) => {
      let sum = 0;
      for (let j = 0; j < inputs; j++) sum += matrix[row * inputs + j]! * x[j]!;
      return sum;
    });
  };

  test("return the best rows of a head by them, with their values", async () => {
    const { found } = await outcomes(head, [{ method: "codes", estimator }]);
    const { indices, values } = found[0]!.result as SoftmaxResult;
    const matrix = decoded(head.weights.scored, importanceOf(head));
    const { k, inputs } = head.layer;
    for (let token = 0; token < 2 * TOKENS; token++) {
      const scores = times(matrix, head.x.subarray(token * inputs, (token + 1) * inputs));
      const best = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]!).slice(0, k);
      expect([...indices.subarray(token * k, (token + 1) * k)]).toEqual(best);
      best.forEach((row, i) => void expect(values[token * k + i]).toBeCloseTo(scores[row]!, 3));
    }
  });

  test("make of a feed-forward's best groups what they stand for", async () => {
    const { found } = await outcomes(ffn, [{ method: "codes", estimator }]);
    const { output, groups } = found[0]!.result as FfnResult;
    const { gate, up, down } = ffn.weights.ffn!;
    const importance = importanceOf(ffn);
    const [gates, ups, downs] = [decoded(gate!, importance), decoded(up, importance), decoded(down)];
    const { k, inputs, rows } = ffn.layer;
    for (let token = 0; token < TOKENS; token++) {
      const x = ffn.x.subarray(token * inputs, (token + 1) * inputs);
      const [a, b] = [times(gates, x), times(ups, x)];
      const score = (group: number) => Math.max(...a.subarray(group * 8, group * 8 + 8));
      const best = [...Array(rows / 8).keys()].sort((g, h) => score(h) - score(g)).slice(0, k);
      expect([...groups.subarray(token * k, (token + 1) * k)]).toEqual(best);
      const hidden = a.map((value, i) => (best.includes(Math.floor(i / 8)) ? Math.max(0, value) * b[i]! : 0));
      const expected = times(downs, hidden);
      const scale = Math.hypot(...expected);
      expected.forEach((value, i) => void expect(output[token * inputs + i]! / scale).toBeCloseTo(value / scale, 4));
    }
  });
});

describe("a threshold", () => {
  test("on inputs leaves the share of them that it is fitted to, and computes with those alone", async () => {
    const { found } = await outcomes(head, [{ method: "inputs", share: 0.5 }]);
    expect(found[0]!.passed).toBeCloseTo(0.5, 1);
    const { inputs, k } = head.layer;
    const limit = head.fit.map(Math.abs).sort()[head.fit.length / 2]!;
    const rows = matrixOf(head.weights.scored);
    const { indices, values } = found[0]!.result as SoftmaxResult;
    for (let token = 0; token < TOKENS; token++) {
      const row = indices[token * k]!;
      let sum = 0;
      for (let j = 0; j < inputs; j++) {
        const value = head.x[token * inputs + j]!;
        if (Math.abs(value) >= limit) sum += value * rows[row * inputs + j]!;
      }
      expect(values[token * k]).toBeCloseTo(sum, 3);
    }
  });

  test("on gates keeps the groups and drops their weakest neurons", async () => {
    const settings = [0.1, 0.3, 0.6].map((share): Setting => ({ method: "gates", share }));
    const { found, evaluated, exact } = await outcomes(ffn, settings);
    const errors = evaluated.map(({ error }) => error!.reduce((a, b) => a + b) / TOKENS);
    expect(errors[0]).toBeGreaterThan(errors[1]!);
    expect(errors[1]).toBeGreaterThan(errors[2]!);
    for (const { recall } of evaluated) expect(Math.min(...recall)).toBe(1);
    const chosen = ffn.layer.k * 8;
    found.forEach(({ passed }, i) => {
      const share = (settings[i] as { share: number }).share;
      expect(Math.abs(passed! / chosen - share)).toBeLessThan(0.05);
    });
    expect(exact.tokens).toBe(TOKENS);
  });
});

test("a shortlist returns the best of its rows, and no other", async () => {
  const { found, exact } = await outcomes(head, [{ method: "shortlist", by: "popularity", share: 0.1 }]);
  const { indices } = found[0]!.result as SoftmaxResult;
  const { k, rows } = head.layer;
  for (let token = 0; token < exact.tokens; token++) {
    const scores = exact.scores.subarray(token * rows, (token + 1) * rows);
    const best = [...Array(rows / 10).keys()].sort((a, b) => scores[b]! - scores[a]!).slice(0, k);
    expect([...indices.subarray(token * k, (token + 1) * k)]).toEqual(best);
  }
  expect([...byFrequency(4, [[3, 1], [3], [2]])]).toEqual([3, 1, 2, 0]);
});
