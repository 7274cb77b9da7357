// The closed form of two-stage recall against counting, and against the published values.

import { describe, expect, test } from "vitest";
import { normalQuantile, normalTail } from "../../compiler/normal.ts";
import { type Buckets, expectedRecall, smallestKeep, survivorCount } from "../../compiler/recall.ts";
import { roomAbove, shareAbove, thresholdQuantile } from "../../compiler/statistical.ts";
import { quantized, twoStage } from "../../dsl/index.ts";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { survivorsOf } from "../../runtime/reference/survivors.ts";
import { compileCase, LAYER } from "../cases/compile-case.ts";
import { each, normals } from "../cases/fills.ts";
import { mulberry32, normal, type Random } from "../cases/random.ts";
import type { Fill, SoftmaxCase } from "../cases/softmax-case.ts";

const TRIALS = 4000;

describe("the closed form is the mean of random placements", () => {
  const grid: readonly [rows: number, count: number, wanted: number, keep: number][] = [
    [1000, 10, 50, 5],
    [1000, 10, 50, 8],
    [1000, 16, 20, 1],
    // Buckets of two sizes.
    [1003, 16, 64, 4],
    [130, 3, 24, 9],
    [65, 2, 33, 20],
    [7, 5, 4, 1],
    // More wanted rows than a bucket has, and nearly all rows wanted.
    [200, 50, 100, 2],
    [64, 8, 60, 7],
    [8192, 128, 128, 3],
    [100_000, 782, 64, 1],
  ];
  test.each(grid)("%i rows in %i buckets, %i wanted, %i kept", (rows, count, wanted, keep) => {
    const { mean, standardError } = sampledRecall(mulberry32(rows + keep), { rows, count }, wanted, keep);
    // Four standard errors leave one failure in 16,000 such comparisons; the seed is fixed, so this one holds for good.
    expect(Math.abs(expectedRecall({ rows, count }, wanted, keep) - mean)).toBeLessThan(4 * standardError + 1e-12);
  });
});

test.each([
  // Three decimals of Samaga et al., arXiv 2506.04165, as simulated independently.
  [262_144, 64, 128, 1, 0.789],
  [262_144, 64, 512, 1, 0.941],
  [262_144, 64, 128, 2, 0.969],
  [16_384, 819, 128, 8, 0.937],
  [16_384, 819, 128, 10, 0.984],
  [16_384, 819, 1024, 1, 0.7],
  // Shards are buckets too: the k / shards best of each, times a slack.
  [16_384, 819, 4, Math.ceil(819 / 4), 0.977],
  [16_384, 819, 16, Math.ceil(819 / 16), 0.955],
  [2048, 102, 16, Math.ceil((1.5 * 102) / 16), 0.986],
  [262_144, 64, 8, 10, 0.955],
])("%i rows, %i wanted, %i buckets, %i kept: the published recall", (rows, wanted, count, keep, recall) => {
  expect(expectedRecall({ rows, count }, wanted, keep)).toBeGreaterThan(recall - 0.001);
  expect(expectedRecall({ rows, count }, wanted, keep)).toBeLessThan(recall + 0.001);
});

const SHAPES: readonly (Buckets & { readonly wanted: number })[] = [
  { rows: 1, count: 1, wanted: 1 },
  { rows: 65, count: 2, wanted: 65 },
  { rows: 130, count: 3, wanted: 24 },
  { rows: 1000, count: 16, wanted: 60 },
  { rows: 1000, count: 16, wanted: 1000 },
  { rows: 8191, count: 128, wanted: 300 },
  { rows: 262_144, count: 1024, wanted: 128 },
  { rows: 2 ** 24, count: 1024, wanted: 64 },
];

describe.each(SHAPES)("$rows rows in $count buckets, $wanted wanted", ({ rows, count, wanted }) => {
  const buckets = { rows, count };
  const largest = Math.min(wanted, Math.ceil(rows / count));

  test("nothing is lost where whole buckets or all wanted rows are kept", () => {
    expect(expectedRecall(buckets, wanted, Math.ceil(rows / count))).toBeCloseTo(1, 6);
    expect(expectedRecall(buckets, wanted, wanted)).toBeCloseTo(1, 6);
  });

  test("recall grows with what is kept, and lies between 0 and 1", () => {
    let before = 0;
    for (let keep = 1; keep <= Math.min(largest, 80); keep++) {
      const recall = expectedRecall(buckets, wanted, keep);
      expect(recall).toBeGreaterThanOrEqual(before);
      expect(recall).toBeLessThanOrEqual(1);
      before = recall;
    }
    expect(before).toBeGreaterThan(0);
  });

  test.each([0.01, 0.5, 0.9, 0.99, 0.9999])("a target of %d is met with the smallest keep that meets it", (target) => {
    const keep = smallestKeep(buckets, wanted, target);
    const meets = (each: number) =>
      survivorCount(buckets, each) >= wanted && expectedRecall(buckets, wanted, each) >= target;
    expect(meets(keep)).toBe(true);
    expect(keep === 1 || !meets(keep - 1)).toBe(true);
  });

  test("a target of 1 is met for certain", () => {
    expect(smallestKeep(buckets, wanted, 1)).toBe(largest);
  });
});

test("survivors are counted bucket by bucket where buckets differ in size", () => {
  // Buckets of 3, 3, 2, 2 and 2 rows.
  expect([1, 2, 3, 4].map((keep) => survivorCount({ rows: 12, count: 5 }, keep))).toEqual([5, 10, 12, 12]);
});

test("one wanted row is never lost, and two share a bucket with the odds of a birthday", () => {
  expect(expectedRecall({ rows: 1000, count: 10 }, 1, 1)).toBeCloseTo(1, 12);
  // The second of two falls into the first one's bucket with probability 99 of 999, and half of them is lost then.
  expect(expectedRecall({ rows: 1000, count: 10 }, 2, 1)).toBeCloseTo(1 - 99 / 999 / 2, 12);
});

describe("the selection of a layer recalls what its plan says", () => {
  const sortedRows: Fill = each((row, column, random) => (column === 0 ? 50 - row / 100 : 0.01 * normal(random)));
  test.each<[string, Fill, Fill]>([
    ["random rows", normals, normals],
    // Interleaving spreads neighbours over all buckets, so sorted rows lose nothing where random ones lose some.
    ["rows sorted by score", sortedRows, each((_token, column) => (column === 0 ? 1 : 0.01))],
  ])("%s", async (name, weights, inputs) => {
    const softmaxCase: SoftmaxCase = {
      name,
      layer: {
        inputs: 16,
        rows: 4000,
        dtype: "f32",
        estimator: quantized({ bits: 8, activations: "f32" }),
        k: 16,
        candidates: 256,
        select: twoStage({ recall: 0.9 }),
      },
      tokens: 60,
      weights,
      inputs,
      comparison: "rounded",
    };
    const { layer, data, weights: source } = compileCase(softmaxCase);
    const reference = await createReferenceSoftmax(LAYER, layer, source);
    const { keep, buckets, recallOfCandidates } = layer.selection;
    // Few enough to lose some.
    expect(keep).toBeLessThan(Math.ceil(layer.rows / buckets));
    expect(recallOfCandidates).toBeLessThan(0.995);
    const all = { ...layer, candidates: layer.rows, selection: { ...layer.selection, keep: layer.rows } };
    const unlimited = await createReferenceSoftmax(LAYER, all, source);
    const recalls = Array.from({ length: softmaxCase.tokens }, (_, token) => {
      const x = data.x.subarray(token * layer.inputs, (token + 1) * layer.inputs);
      const survivors = new Set(reference.select(x).survivors);
      const wanted = unlimited.select(x).candidates.slice(0, layer.candidates);
      return wanted.filter((row) => survivors.has(row)).length / wanted.length;
    });
    const { mean, standardError } = statistics(recalls);
    if (weights === sortedRows) expect(mean).toBe(1);
    else expect(Math.abs(mean - recallOfCandidates)).toBeLessThan(4 * standardError);
  });
});

/** Mean recall over random placements of the wanted rows, counted without any formula. */
function sampledRecall(random: Random, { rows, count }: Buckets, wanted: number, keep: number) {
  const order = Array.from({ length: rows }, (_, i) => i);
  const samples = Array.from({ length: TRIALS }, () => {
    const held = new Uint32Array(count);
    let survivors = 0;
    for (let i = 0; i < wanted; i++) {
      // The first `wanted` of a shuffle; what earlier trials left shuffled is as good a start as any.
      const j = i + Math.floor(random() * (rows - i));
      [order[i], order[j]] = [order[j]!, order[i]!];
      const bucket = order[i]! % count;
      held[bucket]! += 1;
      if (held[bucket]! <= keep) survivors++;
    }
    return survivors / wanted;
  });
  return statistics(samples);
}

function statistics(samples: readonly number[]) {
  const mean = samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
  const variance = samples.reduce((sum, sample) => sum + (sample - mean) ** 2, 0) / (samples.length - 1);
  return { mean, standardError: Math.sqrt(variance / samples.length) };
}

describe("the share of the best rows above a threshold is the mean of random scores", () => {
  test.each([
    [20_000, 40, 100, 200],
    [20_000, 40, 20, 40],
    [4096, 16, 64, 96],
    [65_536, 256, 32, 128],
  ])("%i rows in %i buckets, %i wanted, %i expected", (rows, count, wanted, expected) => {
    const random = mulberry32(rows + expected);
    const buckets = { rows, count };
    const quantile = thresholdQuantile(rows, expected);
    const keep = roomAbove(buckets, expected);
    let [kept, full] = [0, 0];
    const trials = 40;
    for (let trial = 0; trial < trials; trial++) {
      const scores = Float64Array.from({ length: rows }, () => normal(random));
      const best = new Set([...scores.keys()].sort((a, b) => scores[b]! - scores[a]!).slice(0, wanted));
      for (let bucket = 0; bucket < count; bucket++) {
        const members = Array.from({ length: Math.ceil((rows - bucket) / count) }, (_, i) => bucket + i * count);
        const survivors = survivorsOf(
          { kind: "statistical", buckets: count, keep, quantile, recallOfCandidates: 0, recallOfK: 0 },
          members,
          scores,
        );
        kept += survivors.filter((row) => best.has(row)).length;
        full += Number(survivors.length === keep);
      }
    }
    expect(Math.abs(kept / trials / wanted - shareAbove(buckets, wanted, expected))).toBeLessThan(0.01);
    expect(full).toBeLessThanOrEqual(1);
  });
});

test("quantiles and tails of the normal distribution belong together, and are the published ones", () => {
  for (const share of [1e-12, 1e-6, 0.001, 0.02, 0.3, 0.5, 0.9]) {
    expect(normalTail(normalQuantile(share)) / share).toBeCloseTo(1, 9);
  }
  expect(normalQuantile(0.025)).toBeCloseTo(1.959963984540054, 10);
  expect(normalQuantile(1e-9)).toBeCloseTo(5.997807015007687, 9);
});
