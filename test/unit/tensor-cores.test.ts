// Which layers a CUDA kernel scores with tensor cores, and that the table of cases has all the ways in which it does.

import { describe, expect, test } from "vitest";
import { check } from "../../compiler/check.ts";
import { emit } from "../../compiler/emit.ts";
import { PROFILES, type Profile } from "../../compiler/profiles.ts";
import { defineModel, type Estimator, lowRank, quantized, softmax } from "../../dsl/index.ts";
import type { SoftmaxCase } from "../cases/softmax-case.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";
import { CUDA, SMALL_CUDA } from "../cuda-host/run.ts";

function kernelsOf(layer: SoftmaxCase["layer"], profile: Profile) {
  const model = defineModel("case", { head: softmax({ crossover: "ignore", ...layer, weight: "w" }) });
  return emit(check({ model, sites: [] }), [profile]).plan.programs[0]!.layers.head!.kernels;
}

function takesTensorCores(estimator: Estimator, batch: number, profile: Profile = CUDA): boolean {
  const kernels = kernelsOf({ inputs: 64, rows: 100, k: 1, candidates: 4, estimator, batch }, profile);
  return kernels.find(({ template }) => template === "score_select")!.choices.tensorCores === true;
}

test.each([1, 3, 4, 5, 16])("batch %i: from 4 tokens on", (batch) => {
  expect(takesTensorCores(quantized({ bits: 4 }), batch)).toBe(batch >= 4);
  expect(takesTensorCores(quantized({ bits: 8, group: "row" }), batch)).toBe(batch >= 4);
});

test("only codes of one plane, also those of factors, and only with int8 tokens, and only in CUDA", () => {
  for (const bits of [2, 3, 5, 6] as const) expect(takesTensorCores(quantized({ bits }), 8)).toBe(false);
  expect(takesTensorCores(quantized({ bits: 4, activations: "f32" }), 8)).toBe(false);
  for (const bits of [4, 8, 16] as const) expect(takesTensorCores(lowRank({ rank: 8, bits }), 8)).toBe(bits !== 16);
  for (const profile of PROFILES.wgsl) expect(takesTensorCores(quantized({ bits: 4 }), 8, profile)).toBe(false);
});

test("tokens are quantized once where blocks would take longer for it than a launch", () => {
  const templates = (rows: number, batch: number) => {
    const layer = { inputs: 2304, rows, k: 32, estimator: quantized({ bits: 4 }), batch };
    return kernelsOf(layer, CUDA).map(({ template }) => template);
  };
  expect(templates(256_000, 1)).toEqual(["score_select", "rescore_topk"]);
  expect(templates(256_000, 4)).toEqual(["quantize", "score_select", "rescore_topk"]);
  // A block to each multiprocessor has 9216 codes to make.
  expect(templates(64 * 128, 4)).toEqual(["score_select", "rescore_topk"]);
});

describe("the table of cases", () => {
  const scores = SOFTMAX_CASES.flatMap(({ layer }) => [CUDA, SMALL_CUDA].flatMap((each) => kernelsOf(layer, each)))
    .filter(({ choices }) => choices.tensorCores && choices.int8)
    .map(({ choices, constants }) => ({ ...choices, constants }) as Record<string, unknown> & { constants: Constants });
  type Constants = Readonly<Record<string, number>>;

  test.each(["grouped", "wholeBlocks", "wholeRounds", "split", "quantizesHere", "bounded", "statistical"])(
    "%s: yes and no, with codes of 4 and of 8 bits",
    (choice) => {
      const met = scores.map((each) => `${each.bytes ? 8 : 4} bits ${each[choice] === true}`);
      expect(new Set(met)).toEqual(new Set(["4 bits true", "4 bits false", "8 bits true", "8 bits false"]));
    },
  );

  test.each(["grouped", "wholeBlocks", "quantizesHere"])(
    "%s: yes and no, with rounds left over and without",
    (choice) => {
      const met = scores.map((each) => `${each.wholeRounds === true} ${each[choice] === true}`);
      expect(new Set(met).size).toBe(4);
    },
  );

  test("rounds of one, two and four spans, groups of one, two and four, and splits that have nothing to do", () => {
    expect(new Set(scores.map(({ constants }) => constants.ROUND_SPANS))).toEqual(new Set([1, 2, 4]));
    const groups = scores
      .filter(({ grouped }) => grouped)
      .map(({ bytes, constants }) => constants.STEPS_PER_GROUP! / (bytes ? 2 : 1));
    expect(new Set(groups)).toEqual(new Set([1, 2, 4]));
    const idle = scores.filter(({ bytes, constants: { STEPS, ROUND_SPANS, SPLITS = 1 } }) => {
      const rounds = Math.ceil(STEPS! / (ROUND_SPANS! * (bytes ? 2 : 1)));
      return Math.ceil(rounds / SPLITS) * (SPLITS - 1) >= rounds;
    });
    expect(idle.length).toBeGreaterThan(0);
  });
});
