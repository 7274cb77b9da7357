// How calibration splits tokens, bounds shares and chooses, without any layer; and what it finds of neurons.

import { describe, expect, test } from "vitest";
import { lowerBound, tokensFor } from "../../compiler/calibrate/bound.ts";
import { choose, rankSettings } from "../../compiler/calibrate/choose.ts";
import { firingOf, savedByCommon } from "../../compiler/calibrate/firing.ts";
import { gridOf } from "../../compiler/calibrate/grid.ts";
import type { Measured } from "../../compiler/calibrate/layer.ts";
import { splitTokens } from "../../compiler/calibrate/split.ts";
import { check } from "../../compiler/check.ts";
import type { CheckedFfn } from "../../compiler/model.ts";
import { tile } from "../../compiler/tile.ts";
import { defineModel, type FfnOptions, ffn, quantized } from "../../dsl/index.ts";
import { exactLayer } from "../../runtime/measure/exact.ts";
import { plainProduct } from "../../runtime/measure/product.ts";
import { type Quality, summaryOf } from "../../runtime/measure/quality.ts";
import { integer, mulberry32, type Random } from "../cases/random.ts";

const RECALL = { measure: "recall", value: 0.95 } as const;

describe("tokens are split", () => {
  const recorded = Float32Array.from({ length: 300 }, (_, i) => Math.floor(i / 3) % 40);
  const parts = (seed: number, most = 1000) => {
    const { x, counts } = splitTokens(recorded, 3, seed, most);
    const tokens = Array.from({ length: x.length / 3 }, (_, i) => x[i * 3]!);
    return { counts, first: tokens.slice(0, counts.calibration), second: tokens.slice(counts.calibration) };
  };

  test("into halves without a token in common, although tokens repeat", () => {
    const { counts, first, second } = parts(1);
    expect(counts).toEqual({ recorded: 100, distinct: 40, calibration: 20, heldOut: 20 });
    expect(first.filter((token) => second.includes(token))).toEqual([]);
    expect(new Set([...first, ...second]).size).toBe(40);
  });

  test("alike for a seed, otherwise for another, and into no more than asked for", () => {
    expect(parts(1)).toEqual(parts(1));
    expect(parts(1).first).not.toEqual(parts(2).first);
    expect(parts(1, 10).counts).toMatchObject({ distinct: 40, calibration: 5, heldOut: 5 });
  });
});

function qualityWith(shares: Float64Array): Quality {
  const recall = summaryOf(shares);
  const recallVariance = shares.reduce((sum, share) => sum + (share - recall.mean) ** 2, 0) / shares.length;
  const rest = { agreement: 1, survivingK: 1, survivingCandidates: 1, correlation: 1, cut: 0 };
  return { tokens: shares.length, recall, recallVariance, ...rest };
}

describe("the bound of a share is above the truth in about one case of twenty, or fewer", () => {
  const [TOKENS, K, TRIALS] = [128, 16, 2000];
  const cases: readonly [name: string, share: number, misses: (random: Random) => number][] = [
    ["rows are missed independently", 0.98, (random) => count(K, () => random() < 0.02)],
    ["rows of a token are missed together", 0.98, (random) => (random() < 0.04 ? 8 : 0)],
    ["some tokens are hard", 0.95, (random) => count(K, () => random() < 0.5) * Number(random() < 0.1)],
  ];
  test.each(cases)("%s", (_name, share, misses) => {
    const random = mulberry32(11);
    const above = count(TRIALS, () => {
      const shares = Float64Array.from({ length: TOKENS }, () => 1 - misses(random) / K);
      return lowerBound(RECALL, qualityWith(shares), K) > share;
    });
    expect(above / TRIALS).toBeLessThan(0.08);
    expect(above / TRIALS).toBeGreaterThan(0.005);
  });

  test("and so many tokens without a miss reach a target", () => {
    for (const value of [0.9, 0.99, 0.999]) {
      const needed = tokensFor({ measure: "recall", value }, K);
      const bound = (tokens: number) => lowerBound(RECALL, qualityWith(new Float64Array(tokens).fill(1)), K);
      expect(bound(needed)).toBeGreaterThanOrEqual(value);
      if (needed > 1) expect(bound(needed - 1)).toBeLessThan(value);
    }
  });

  function count(times: number, happens: () => boolean): number {
    let found = 0;
    for (let i = 0; i < times; i++) found += Number(happens());
    return found;
  }
});

describe("a setting is chosen", () => {
  const setting = (candidates: number, cost: number, calibration: number, heldOut: number): Measured => {
    const quality = (mean: number) => qualityWith(new Float64Array(512).fill(mean));
    return {
      ...{ estimator: { kind: "quantized", bits: 4, group: 32, activations: "int8" }, select: { kind: "exact" } },
      ...{ candidates, cost, survivors: 1, predicted: { survivingK: 1, survivingCandidates: 1 } },
      reads: { batch: 1, score: cost, rescore: 0, total: cost, dense: 100, ratio: 100 / cost },
      ...{ calibration: quality(calibration), heldOut: quality(heldOut) },
    };
  };
  const ranked = (...settings: Measured[]) => ({ settings: rankSettings(settings, RECALL, 16) });

  test("that is the cheapest of those that reach the target on both parts, held out with a margin", () => {
    const layer = ranked(
      setting(4, 40, 1, 1),
      // Enough, but not surely.
      setting(3, 30, 0.96, 0.951),
      // By chance on one part only.
      setting(2, 20, 0.99, 0.9),
      setting(1, 10, 0.94, 0.99),
    );
    expect(layer.settings.map(({ candidates }) => candidates)).toEqual([1, 2, 3, 4]);
    expect(layer.settings.map(({ front }) => front)).toEqual([true, true, false, true]);
    expect(choose([layer], RECALL)).toEqual([3]);
    expect(choose([layer], { ...RECALL, value: 0.9999 })).toBeUndefined();
    // What cannot be compiled is passed over.
    expect(choose([layer], { ...RECALL, value: 0.8 }, (_, { candidates }) => candidates > 1)).toEqual([1]);
  });

  test("for layers that are written together that is good for all of them", () => {
    const easy = ranked(setting(1, 10, 1, 1), setting(2, 20, 1, 1));
    const hard = ranked(setting(1, 10, 0.5, 0.5), setting(2, 20, 1, 1));
    expect(choose([easy], RECALL)).toEqual([0]);
    expect(choose([easy, hard], RECALL)).toEqual([1, 1]);
  });
});

describe("of a feed-forward", () => {
  const [INPUTS, HIDDEN, TOKENS] = [8, 64, 40];
  const layerWith = (options: Partial<FfnOptions> = {}) => {
    const weights = { up: "u", down: "d" };
    const given = { inputs: INPUTS, hidden: HIDDEN, gated: false, weights, k: 4, candidates: 8, dtype: "f32" as const };
    const activation = (z: number) => Math.max(z, 0);
    const built = ffn({ ...given, activation, estimator: quantized({ bits: 8 }), group: { size: 4 }, ...options });
    return check({ model: defineModel("m", { mlp: built }), sites: [] }).layers[0] as CheckedFfn;
  };

  test("groups that nearly all tokens choose are found, and what another order of neurons is worth", async () => {
    const random = mulberry32(3);
    // Neuron 4 of every token, neuron 9 of every token, and of each token one of the others.
    const up = new Float32Array(HIDDEN * INPUTS);
    up.fill(-1);
    up.fill(1, 4 * INPUTS, 5 * INPUTS);
    up.fill(1, 9 * INPUTS, 10 * INPUTS);
    const x = Float32Array.from({ length: TOKENS * INPUTS }, () => 1 + integer(random, 0, 3));
    const matrix = (rows: number, inputs: number, values: Float32Array) => ({
      ...{ rows, inputs, dtype: "f32" as const, bytes: new Uint8Array(values.buffer) },
    });
    const scored = matrix(HIDDEN, INPUTS, up);
    const down = matrix(INPUTS, HIDDEN, new Float32Array(INPUTS * HIDDEN).fill(1));
    const layer = layerWith();
    const exact = await exactLayer(tile(layer), { scored, ffn: { up: scored, down } }, x, plainProduct, () => true);
    const { rates, always, leading, ...order } = firingOf(exact);
    // Ties of the others go to the lower groups: 0 and 3.
    expect(rates.slice(0, 5).map((rate) => Math.round(rate))).toEqual([1, 1, 1, 1, 0]);
    expect({ always, leading }).toEqual({ always: 4, leading: 4 });
    expect(order).toMatchObject({ activeNeurons: 2, touchedGroups: 2, touchedGroupsOrdered: 1 });
  });

  test("common groups save their part of the scored copy", () => {
    const layer = layerWith({ hidden: 4096, k: 64, candidates: 128 });
    const { estimator, candidates, select } = layer;
    const saved = savedByCommon(layer, { estimator, candidates, select }, 32);
    expect(saved).toBeGreaterThan(0);
    expect(savedByCommon(layer, { estimator, candidates, select }, 0)).toBe(0);
  });

  test("a grid has no candidates that the layer cannot have, and no low rank where it is certified", () => {
    const { candidates, rank } = gridOf(layerWith({ k: 12, candidates: 15 }));
    expect(candidates).toEqual([12, 14, 15]);
    expect(rank).toEqual([]);
    expect(gridOf(layerWith({ common: 2 }), { candidates: [3, 4, 14, 15] }).candidates).toEqual([4, 8, 14]);
  });
});
