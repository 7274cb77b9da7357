// What calibration measures, against the reference, which reads packed tensors in float64.

import { describe, expect, test } from "vitest";
import { check } from "../../compiler/check.ts";
import { PROFILES } from "../../compiler/profiles.ts";
import { tile } from "../../compiler/tile.ts";
import { defineModel, quantized, softmax, twoStage } from "../../dsl/index.ts";
import type { WeightSource } from "../../runtime/layer.ts";
import { copyOf, shareBases } from "../../runtime/measure/copy.ts";
import { deviationsOf } from "../../runtime/measure/deviations.ts";
import { estimateQuality } from "../../runtime/measure/estimate-quality.ts";
import { type ExactLayer, exactLayer, type LayerWeights, tokenOf } from "../../runtime/measure/exact.ts";
import { type Product, plainProduct } from "../../runtime/measure/product.ts";
import { qualityOf, type TokenMeasures } from "../../runtime/measure/quality.ts";
import { bestOf, candidatesOf, rankChoices } from "../../runtime/measure/ranks.ts";
import { estimatedScores } from "../../runtime/measure/scores.ts";
import { measureSettings } from "../../runtime/measure/settings.ts";
import { countsOf, exactHistogram } from "../../runtime/measure/spread.ts";
import { requestProduct } from "../../runtime/node/onnx-product.ts";
import { packFfn } from "../../runtime/pack/pack-ffn.ts";
import { type PackedTensor, packLayer } from "../../runtime/pack/pack-layer.ts";
import type { LayerPlan, SoftmaxPlan } from "../../runtime/plan.ts";
import { createReferenceFfn } from "../../runtime/reference/ffn.ts";
import { sortRows } from "../../runtime/reference/order.ts";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { survivorsOf } from "../../runtime/reference/survivors.ts";
import { compileCase, LAYER } from "../cases/compile-case.ts";
import { compileFfn } from "../cases/compile-ffn.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import { mulberry32, normal } from "../cases/random.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";

async function measure(plan: LayerPlan, weights: LayerWeights, x: Float32Array): Promise<TokenMeasures> {
  const exact = await exactLayer(plan, weights, x, plainProduct, () => true);
  const copy = copyOf(plan, weights.scored, x, x, shareBases(weights.scored), plainProduct);
  const [measures] = measureSettings(exact, await estimatedScores(copy, plan.rows, plainProduct), [plan], x);
  return measures!;
}

const isEstimated = ({ estimator }: { estimator: { kind: string } }) => estimator.kind !== "dense";

/** Packed tensors whose roundings and bases are fitted to the tokens that are measured. */
function sourceOf(tensors: readonly PackedTensor[]): WeightSource {
  return ({ name }) => tensors.find((tensor) => tensor.name === name)!.data;
}

describe("an output head is measured as the reference computes it", () => {
  // Random numbers: where scores tie or are no numbers, f32 sums may choose other rows.
  const cases = SOFTMAX_CASES.filter(
    ({ layer, comparison }) => isEstimated(layer) && !layer.mask && comparison === "rounded",
  );
  test.each(cases.map((each) => [each.name, each] as const))("%s", async (_name, softmaxCase) => {
    const { layer, data } = compileCase(softmaxCase);
    const { rows, inputs, dtype, k } = layer;
    if (!data.weights.every(Number.isFinite) || !data.x.every(Number.isFinite)) return;
    const scored = { rows, inputs, dtype, bytes: data.weightBytes };
    const measures = await measure(layer, { scored, ...(data.bias && { bias: data.bias }) }, data.x);
    const weights = packLayer(layer, scored, undefined, data.x, data.biasBytes);
    const reference = await createReferenceSoftmax(LAYER, layer, sourceOf(weights));
    const { certified } = await reference.run(data.x, data.taken);
    for (let token = 0; token < softmaxCase.tokens; token++) {
      const x = tokenOf(data.x, token, inputs);
      const { candidates, estimates, unit } = reference.select(x);
      const scores = reference.exactScores(x);
      const best = sortRows([...Array(rows).keys()], scores).slice(0, k);
      expect(measures.cut[token]).toBeCloseTo(deviationsOf(scores)(estimates[candidates.at(-1)!]! * unit), 3);
      const recall = best.filter((row) => candidates.includes(row)).length / best.length;
      expect(measures.recall[token], `token ${token}`).toBeCloseTo(recall, 10);
      if (!certified) continue;
      expect(measures.certified[token]).toBe(certified[token]);
      // What is proven has room, whatever was dropped.
      if (certified[token] === 1) expect(measures.slack[token]).not.toBeLessThan(0);
    }
  });
});

test("the packed copy of a head is judged by the reference as calibration judges it", async () => {
  const [rows, inputs, k, dtype] = [512, 32, 32, "f32"] as const;
  const estimator = quantized({ bits: 4, group: 32 });
  // A first stage that loses some.
  const head = softmax({ rows, inputs, dtype, weight: "w", estimator, k, select: twoStage({ recall: 0.7 }) });
  const layer = tile(check({ model: defineModel("small", { head }), sites: [] }).layers[0]!) as SoftmaxPlan;
  const random = mulberry32(3);
  const [w, x] = [rows, 24].map((count) => Float32Array.from({ length: count * inputs }, () => normal(random)));
  const scored = { rows, inputs, dtype, bytes: new Uint8Array(w!.buffer) };
  const source = sourceOf(packLayer(layer, scored, undefined, x!));
  const exact = await exactLayer(layer, { scored }, x!, plainProduct, () => false);
  const found = (await estimateQuality(LAYER, layer, source, exact, x!))!;
  const { tokens } = exact;
  const quality = qualityOf(await measure(layer, { scored }, x!), 0, tokens);
  expect(found).toMatchObject({ tokens, predictedK: layer.selection.recallOfK });
  expect(found.survivingK).toBeCloseTo(quality.survivingK, 10);
  expect(found.survivingK).toBeLessThan(1);
  expect(found.correlation).toBeCloseTo(quality.correlation, 4);
  expect(found.scores.cut).toBeCloseTo(quality.cut, 3);
  const kth = exact.best.map((best, token) => {
    const own = tokenOf(exact.scores, token, rows);
    return deviationsOf(own)(own[best.at(-1)!]!);
  });
  expect(found.scores.kth).toBeCloseTo(kth.reduce((sum, each) => sum + each, 0) / tokens, 6);
  for (const counts of [found.scores.exact.counts, found.scores.estimates]) {
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(tokens * rows);
  }
});

describe("a feed-forward is measured as the reference computes it", () => {
  const cases = FFN_CASES.filter(({ layer, comparison }) => isEstimated(layer) && comparison === "rounded");
  test.each(cases.map((each) => [each.name, each] as const))("%s", async (_name, ffnCase) => {
    const { layer, data } = compileFfn(ffnCase, PROFILES.wgsl.slice(-1));
    const { rows, inputs, outputs, dtype, gated, group } = layer;
    const matrix = (bytes: Uint8Array) => ({ rows, inputs, dtype, bytes });
    const gate = gated ? matrix(data.gate!.bytes) : undefined;
    const up = matrix(data.up.bytes);
    const down = { rows: outputs, inputs: rows, dtype, bytes: data.down.bytes };
    const { bias, up_bias } = data.biases;
    const matrices = { ...(gate && { gate }), up, down };
    const measured: LayerWeights = {
      scored: gate ?? up,
      ...(bias && { bias: bias.values }),
      ffn: { ...matrices, ...(up_bias && { upBias: up_bias.values }) },
    };
    const measures = await measure(layer, measured, data.x);
    const biases = Object.fromEntries(Object.entries(data.biases).map(([role, { bytes }]) => [role, bytes]));
    const weights = sourceOf(packFfn(layer, matrices, undefined, data.x, biases));
    const reference = await createReferenceFfn(LAYER, layer, weights);
    const all = { ...layer, k: group.count - group.common };
    const sorted = await createReferenceFfn(
      LAYER,
      { ...all, candidates: all.k, selection: wholeSelection(layer) },
      weights,
    );
    const exact = await sorted.run(data.x);
    const { output, groups } = await reference.run(data.x);
    const { scores } = await exactLayer(layer, measured, data.x, plainProduct, () => false);
    for (let token = 0; token < ffnCase.tokens; token++) {
      const x = tokenOf(data.x, token, inputs);
      const wanted = [...exact.groups.subarray(token * all.k, token * all.k + layer.k)];
      const { candidates, estimates, unit } = reference.select(x);
      const deviate = deviationsOf(tokenOf(scores, token, group.count).subarray(group.common));
      const last = estimates[candidates.at(-1)!]! * unit;
      // What f32 loses may be many deviations of scores that hardly vary.
      const rounding = Math.abs(deviate(last * (1 + 2 ** -20) + 2 ** -126) - deviate(last));
      expect(Math.abs(measures.cut[token]! - deviate(last))).toBeLessThan(0.001 + rounding);
      const recall = wanted.filter((each) => candidates.includes(each)).length / wanted.length;
      expect(measures.recall[token], `token ${token}`).toBeCloseTo(recall, 10);
      const best = reference.compute(x, wanted);
      const own = output.subarray(token * outputs, (token + 1) * outputs);
      expect(groups.length).toBe(ffnCase.tokens * layer.k);
      // The bias of down is not part of what is selected.
      const floor = reference.compute(new Float32Array(inputs), []).map((value) => (data.biases.down_bias ? value : 0));
      const norm = Math.hypot(...best.map((value, i) => value - floor[i]!));
      const error = Math.hypot(...best.map((value, i) => value - own[i]!)) / norm;
      if (norm > 0 && !data.biases.down_bias) expect(measures.error[token]).toBeCloseTo(error, 4);
    }
  });

  /** One in which nothing is dropped. */
  function wholeSelection({ selection, group }: LayerPlan) {
    return { ...selection, kind: "exact" as const, keep: group!.count };
  }
});

test("candidates are those of buckets that keep their best, for every depth and count", () => {
  const random = mulberry32(7);
  const scores = Float32Array.from({ length: 1003 }, () => Math.round(4 * normal(random)) / 4);
  const [buckets, common] = [16, 5];
  const ranked = rankChoices(scores, { buckets, depth: 6, count: 80 }, common);
  for (const keep of [1, 2, 6]) {
    const survivors: number[] = [];
    for (let bucket = 0; bucket < buckets; bucket++) {
      const members: number[] = [];
      for (let choice = common + bucket; choice < scores.length; choice += buckets) members.push(choice);
      survivors.push(
        ...survivorsOf(
          { kind: "twoStage", buckets, keep, recallOfCandidates: 1, recallOfK: 1 },
          members,
          Float64Array.from(scores),
        ),
      );
    }
    const expected = sortRows(survivors, Float64Array.from(scores));
    for (const count of [1, 15, 80]) expect([...candidatesOf(ranked, keep, count)]).toEqual(expected.slice(0, count));
  }
  const all = sortRows([...scores.keys()].slice(common), Float64Array.from(scores));
  expect([...candidatesOf(ranked, Number.POSITIVE_INFINITY, 80)]).toEqual(all.slice(0, 80));
  expect([...bestOf(scores, 1, 1002)]).toEqual([1002]);
  expect([...bestOf(Float32Array.of(1, Number.NaN, 3, 3), 3)]).toEqual([1, 2, 3]);
});

test("the divergence is that of the two distributions, added up row by row", async () => {
  const softmaxCase = SOFTMAX_CASES.find(({ layer, comparison }) => isEstimated(layer) && comparison === "rounded")!;
  const { layer, data } = compileCase(softmaxCase);
  const { rows, inputs, dtype } = layer;
  const scored = { rows, inputs, dtype, bytes: data.weightBytes };
  const weights = sourceOf(packLayer(layer, scored, undefined, data.x));
  const measures = await measure(layer, { scored }, data.x);
  const reference = await createReferenceSoftmax(LAYER, layer, weights);
  const x = tokenOf(data.x, 0, inputs);
  const unit = Math.max(...x.map(Math.abs)) / 127;
  const { candidates, estimates } = reference.select(x);
  const exact = reference.exactScores(x);
  const guess = [...exact.keys()].map((row) => (candidates.includes(row) ? exact[row]! : estimates[row]! * unit));
  const chances = (scores: readonly number[]) => {
    const sum = scores.reduce((total, score) => total + Math.exp(score), 0);
    return scores.map((score) => Math.exp(score) / sum);
  };
  const [p, q] = [chances([...exact]), chances(guess)];
  const divergence = p.reduce((sum, share, row) => sum + share * Math.log(share / q[row]!), 0);
  const mass = candidates.reduce((sum, row) => sum + p[row]!, 0);
  expect(divergence).toBeGreaterThan(0);
  expect(Math.abs(measures.divergence[0]! / divergence - 1)).toBeLessThan(1e-3);
  expect(measures.mass[0]).toBeCloseTo(mass, 6);
});

const product = await requestProduct();
const hasOnnx = product.name.startsWith("ONNX Runtime");

test.skipIf(!hasOnnx)(
  `ONNX Runtime gives what JavaScript gives${hasOnnx ? "" : ", skipped: it is not installed"}`,
  async () => {
    const random = mulberry32(3);
    const fill = (count: number) => Float32Array.from({ length: count }, () => normal(random));
    const shape = { rowsOfA: 7, rowsOfB: 130, inputs: 65 };
    const [a, b] = [fill(7 * 65), fill(130 * 65)];
    const of = async (each: Product) => [...(await each.multiply(a, b, shape))];
    const [own, plain] = [await of(product), await of(plainProduct)];
    own.forEach((value, i) => void expect(value).toBeCloseTo(plain[i]!, 4));
  },
);

test("a summary leaves out what was not measured", () => {
  const { error, errorTokens, divergence, recall, tokens } = qualityOf(
    {
      ...Object.fromEntries(
        [
          "agreement",
          "survivingK",
          "survivingCandidates",
          "correlation",
          "cut",
          "divergence",
          "mass",
          "certified",
          "slack",
        ].map((name) => [name, new Float64Array(4).fill(Number.NaN)]),
      ),
      recall: Float64Array.of(0, 1, 0.5, 1),
      error: Float64Array.of(9, Number.NaN, 1, 3),
    } as TokenMeasures,
    1,
    4,
  );
  expect({ errorTokens, mean: error?.mean, tokens, divergence }).toEqual({
    errorTokens: 2,
    mean: 2,
    tokens: 3,
    divergence: undefined,
  });
  expect(recall).toMatchObject({ min: 0.5, p50: 1, max: 1 });
});

describe("scores are spread over bins", () => {
  const exactly = (scores: readonly number[], choices: number, common = 0) =>
    ({ scores: Float32Array.from(scores), choices, common }) as unknown as ExactLayer;
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

  test("in deviations, so that tokens of another scale look alike", () => {
    const one = [1, 2, 3, 4, 5, 100];
    const [first, second] = [one, one.map((score) => 7 * score - 3)].map((scores) =>
      exactHistogram(exactly(scores, 6), 1),
    );
    expect(first!.counts).toEqual(second!.counts);
    expect(first!.to).toBeCloseTo(deviationsOf(one)(100), 6);
    expect(first!.to).toBeCloseTo(second!.to, 4);
    const both = exactHistogram(exactly([...one, ...one], 6), 2);
    expect(both.counts).toEqual(first!.counts.map((count) => 2 * count));
  });

  test("without common groups, other tokens, and what is no number", () => {
    const scores = [9, 1, 2, 3, Number.NaN, Number.POSITIVE_INFINITY, 50, 60, 70, 80, 90, 99];
    const { from, to, counts } = exactHistogram(exactly(scores, 6, 1), 1);
    expect(sum(counts)).toBe(3);
    expect([from, to].map((edge) => edge.toFixed(4))).toEqual(["-1.2247", "1.2247"]);
  });

  test("and what lies outside the bins counts in the first or the last", () => {
    const exact = exactly([1, 2, 3, 4], 4);
    const edges = exactHistogram(exact, 1);
    const counts = countsOf(exact, 1, () => ({ order: [-100, 1, 2, 50], unit: 2 }), edges);
    expect([counts[0], counts.at(-1), sum(counts)]).toEqual([1, 2, 4]);
  });

  test("all in one where scores do not vary, and nowhere where there is none", () => {
    const alike = exactHistogram(exactly([5, 5, 5], 3), 1);
    expect([alike.from, alike.to, alike.counts[0]]).toEqual([0, 0, 3]);
    const none = exactHistogram(exactly([Number.NaN, Number.NaN], 2), 1);
    expect([none.from, none.to, sum(none.counts)]).toEqual([0, 0, 0]);
  });
});
