// Recall that shards measure of themselves, against the exact scores of the whole layer and against the closed form.

import { describe, expect, test } from "vitest";
import { PROFILES } from "../../compiler/profiles.ts";
import { expectedRecall } from "../../compiler/recall.ts";
import { dense, quantized, type ShardOptions } from "../../dsl/index.ts";
import { type Offer, recallOf } from "../../runtime/collective/recall-monitor.ts";
import type { ShardedFfn } from "../../runtime/collective/sharded-ffn.ts";
import { NO_ROW } from "../../runtime/layer.ts";
import { createReferenceFfn } from "../../runtime/reference/ffn.ts";
import { referenceLoader } from "../../runtime/reference/shards.ts";
import { shardPlan } from "../../runtime/shard-plan.ts";
import { globalRow } from "../../runtime/shard-rows.ts";
import { LAYER } from "../cases/compile-case.ts";
import type { FfnCase } from "../cases/ffn-case.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import { ffnOracle } from "../cases/ffn-oracle.ts";
import { each, normals } from "../cases/fills.ts";
import { normal } from "../cases/random.ts";
import { rowOf } from "../cases/selected.ts";
import { compileShardedFfn, runShards } from "../cases/sharded.ts";

const PROFILE = [PROFILES.wgsl.at(-1)!];

/** Runs a case in parts of so many tokens. @returns what each shard has measured, and the groups of all shards by token. */
async function monitored(ffnCase: FfnCase, shards: ShardOptions, every: number, part = ffnCase.tokens) {
  const compiled = compileShardedFfn(ffnCase, shards, PROFILE);
  const { plan, layer, data } = compiled;
  const loader = referenceLoader.bind(undefined, plan);
  const groups: number[][] = Array.from({ length: ffnCase.tokens }, () => []);
  const run = async (each: ShardedFfn) => {
    for (let first = 0; first < ffnCase.tokens; first += part) {
      const some = data.x.subarray(first * layer.inputs, Math.min(ffnCase.tokens, first + part) * layer.inputs);
      const tokens = some.length / layer.inputs;
      const found = (await each.run(some)).groups;
      for (let i = 0; i < tokens; i++) groups[first + i]!.push(...rowOf(found, found.length / tokens, i));
    }
    return each.recall!();
  };
  const recalls = await runShards(compiled, loader, run, { monitor: { every } });
  return { compiled, recalls, groups };
}

/** The same from the scores of the unpacked matrices: the share of the k best candidates that was computed. */
async function expected(ffnCase: FfnCase, { compiled, groups }: Awaited<ReturnType<typeof monitored>>) {
  const { plan, layer, data, packs } = compiled;
  const oracle = ffnOracle(ffnCase, layer, data);
  const { common, count } = layer.group;
  const shards = await Promise.all(
    packs.map(async (pack, index) => {
      const own = shardPlan(plan, index).layers[LAYER];
      return own?.kind === "ffn" ? { own, reference: await createReferenceFfn(LAYER, own, pack) } : undefined;
    }),
  );
  return groups.map((computed, token) => {
    const x = rowOf(data.x, layer.inputs, token) as Float32Array;
    const { exact } = oracle(x);
    const candidates = shards.flatMap((shard, index) => {
      const found = shard?.reference.select(x).candidates ?? [];
      return found.map((group) => globalRow(group, count, { ...shard!.own.shard!, index }));
    });
    const best = candidates
      .filter((group) => group >= common)
      .sort((a, b) => exact[b - common]! - exact[a - common]! || a - b)
      .slice(0, layer.k);
    return best.length === 0 ? 1 : best.filter((group) => computed.includes(group)).length / best.length;
  });
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

// Where scores tie, or are too small for a f32, other groups are as right.
const cases = FFN_CASES.filter(
  ({ name, comparison, layer }) =>
    comparison === "rounded" && layer.estimator.kind !== "dense" && !name.includes("subnormal"),
);
const ways: readonly ShardOptions[] = [
  { count: 2, slack: 1 },
  { count: 3, slack: 1, layout: "contiguous" },
  { count: 4, slack: 1.25 },
];

test.each(cases.map((each, i) => [each.name, ways[i % ways.length]!, each] as const))(
  "%s, over %o: every rank measures what the exact scores of all groups say",
  async (_name, shards, ffnCase) => {
    const run = await monitored(ffnCase, shards, 1);
    const recalls = await expected(ffnCase, run);
    for (const found of run.recalls) {
      expect(found).toEqual(run.recalls[0]);
      expect(found.tokens).toBe(ffnCase.tokens);
      expect(found.mean).toBeCloseTo(mean(recalls), 10);
      expect(found.worst).toBeCloseTo(Math.min(...recalls), 10);
      expect(found.atLeast).toBeLessThanOrEqual(found.mean);
    }
    expect(run.groups.flat().every((group) => group === NO_ROW || group < run.compiled.layer.group.count)).toBe(true);
  },
);

const RANDOM: FfnCase = {
  name: "random rows",
  layer: {
    ...{ inputs: 24, hidden: 192, outputs: 4, dtype: "f32", gated: false, group: { size: 2 }, k: 16, candidates: 48 },
    ...{ activation: (z) => Math.max(z, 0), estimator: quantized({ bits: 8 }), batch: 4, crossover: "ignore" },
  },
  ...{ tokens: 180, gate: normals, up: normals, down: normals, inputs: normals, comparison: "rounded" },
};

describe("on random rows", () => {
  test.each(ways)("over %o, recall is what the closed form predicts", async (shards) => {
    const { compiled, recalls } = await monitored(RANDOM, shards, 1);
    const { recall, keep, count } = compiled.layer.sharding!;
    expect(recall).toBeCloseTo(expectedRecall({ rows: 96, count }, 16, keep), 6);
    expect(recall).toBeLessThan(0.97);
    expect(Math.abs(recalls[0]!.mean - recall)).toBeLessThan(0.015);
    expect(recalls[0]!.worst).toBeLessThan(recalls[0]!.mean);
  });

  test("in ranges sorted by size it is much lower, which is measured", async () => {
    const sorted: FfnCase = {
      ...RANDOM,
      gate: each((row, _, random) => normal(random) / (1 + row)),
    };
    const [ranges, interleaved] = await Promise.all(
      (["contiguous", "interleaved"] as const).map(async (layout) => {
        const run = await monitored(sorted, { count: 4, slack: 1, layout }, 1);
        expect(run.recalls[0]!.mean).toBeCloseTo(mean(await expected(sorted, run)), 10);
        return run.recalls[0]!.mean;
      }),
    );
    expect(ranges).toBeLessThan(0.6);
    expect(interleaved).toBeGreaterThan(0.85);
  });

  test("every third token is measured, however runs are cut", async () => {
    const run = await monitored(RANDOM, ways[0]!, 3, 7);
    const recalls = (await expected(RANDOM, run)).filter((_, token) => token % 3 === 0);
    expect(recalls).toHaveLength(60);
    expect(run.recalls[1]).toMatchObject({ tokens: 60, worst: Math.min(...recalls) });
    expect(run.recalls[1]!.mean).toBeCloseTo(mean(recalls), 10);
  });

  test("without an estimator the recall of all groups lies between the two bounds", async () => {
    const { candidates: _, ...layer } = RANDOM.layer;
    const ffnCase = { ...RANDOM, layer: { ...layer, estimator: dense() } };
    const { compiled, recalls, groups } = await monitored(ffnCase, { count: 2, slack: 1.25 }, 1);
    const oracle = ffnOracle(ffnCase, compiled.layer, compiled.data);
    const all = groups.map((computed, token) => {
      const { exact } = oracle(rowOf(compiled.data.x, 24, token) as Float32Array);
      const best = [...exact.keys()].sort((a, b) => exact[b]! - exact[a]! || a - b).slice(0, 16);
      return best.filter((group) => computed.includes(group)).length / 16;
    });
    const { mean: atMost, atLeast, open } = recalls[0]!;
    expect(atMost).toBe(1);
    expect(mean(all)).toBeLessThan(1);
    expect(mean(all)).toBeGreaterThan(atLeast);
    // Whatever is lost is lost on tokens that are open.
    expect(open).toBeGreaterThanOrEqual(all.filter((recall) => recall < 1).length);
    expect(open).toBeLessThan(180);
  });
});

test("common groups do not count, and nothing is open where all others of a shard are candidates", async () => {
  // The first shard has nothing but common groups.
  const layer = { ...RANDOM.layer, group: { size: 2 }, common: 24, k: 40, candidates: 72 };
  const run = await monitored({ ...RANDOM, layer }, { count: 4, slack: 1.4, layout: "contiguous" }, 1);
  const recalls = await expected({ ...RANDOM, layer }, run);
  expect(mean(recalls)).toBeLessThan(1);
  expect(run.recalls[0]!.mean).toBeCloseTo(mean(recalls), 10);
  expect(run.recalls[0]).toMatchObject({ open: 0, atLeast: run.recalls[0]!.mean });
});

test("before the first token nothing is known", async () => {
  const { recalls } = await monitored({ ...RANDOM, tokens: 0 }, ways[0]!, 1);
  expect(recalls[0]).toMatchObject({ tokens: 0, mean: Number.NaN, worst: Number.NaN, open: 0 });
});

describe("of one token", () => {
  const offer = (keys: readonly number[], computed: number, mayHaveMore = false, groups = [...keys.keys()]): Offer => ({
    ...{ pairs: keys.map((key, i) => ({ key, group: groups[i]! })), computed, mayHaveMore },
  });

  test("a candidate that was not computed is missed, if it is among the best", () => {
    expect(recallOf([offer([9, 8, 7], 2), offer([6, 5, 4], 2)], 4)).toEqual({ recall: 0.75, atLeast: 0.75 });
    expect(recallOf([offer([9, 8, 3], 2), offer([6, 5, 4], 2)], 4)).toEqual({ recall: 1, atLeast: 1 });
  });

  test("what may come behind a shard's last candidate is not counted as found", () => {
    expect(recallOf([offer([9, 8], 2, true), offer([6, 5, 4], 2)], 4)).toEqual({ recall: 1, atLeast: 0.5 });
    // Behind the k-th nothing matters.
    expect(recallOf([offer([9, 5], 2, true), offer([8, 7, 4], 2)], 4)).toEqual({ recall: 1, atLeast: 1 });
  });

  test("fewer candidates than are wanted are all that there are, unless a shard has more", () => {
    expect(recallOf([offer([9, 8, 7], 2), offer([], 2)], 4).recall).toBeCloseTo(2 / 3, 10);
    expect(recallOf([offer([9, 8], 2, true), offer([7], 2)], 4)).toEqual({ recall: 0.75, atLeast: 0.5 });
    expect(recallOf([offer([], 0)], 4)).toEqual({ recall: 1, atLeast: 1 });
  });

  test("equal keys are ranked by group, as kernels do", () => {
    const first = offer([5, 5], 1, false, [0, 4]);
    const second = offer([5, 5], 1, false, [1, 3]);
    expect(recallOf([first, second], 3)).toEqual({ recall: 2 / 3, atLeast: 2 / 3 });
    expect(recallOf([first, second], 2).recall).toBe(1);
  });
});
