// Every stage of every kernel can be found in its source: of cases of all kinds, whole and over shards, on every kind of profile.

import { describe, expect, test } from "vitest";
import { check } from "../../compiler/check.ts";
import { emit } from "../../compiler/emit.ts";
import { PROFILES } from "../../compiler/profiles.ts";
import { stageLines } from "../../compiler/stage-lines.ts";
import { defineModel, type Model, quantized, softmax } from "../../dsl/index.ts";
import { kernelsOf } from "../../runtime/plan.ts";
import { ffnModel } from "../cases/compile-ffn.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";

// Compiling all of them takes a minute, which is the long form.
const some = (_: unknown, i: number) => process.env.HIREC_LONG === "1" || i % 4 === 0;

const oneLayer = (layer: Parameters<typeof softmax>[0]) => defineModel("case", { head: softmax(layer) });

const MODELS: Readonly<Record<string, readonly Model[]>> = {
  heads: SOFTMAX_CASES.filter(some).map(({ layer }) => oneLayer({ crossover: "ignore", ...layer, weight: "w" })),
  "feed-forwards": FFN_CASES.filter(some).map(ffnModel),
  shards: (["off", "fallback"] as const).map((certify) =>
    oneLayer({ inputs: 64, rows: 1000, k: 8, weight: "w", estimator: quantized({ bits: 4 }), certify, shards: 4 }),
  ),
};

/** Kernels with their sources, each source once. */
function kernels(model: Model) {
  const { plan, files } = emit(check({ model, sites: [] }), [...PROFILES.wgsl, PROFILES.cuda[0]!]);
  const unique = new Map(kernelsOf(plan).map(({ kernel }) => [kernel.file, kernel]));
  return [...unique.values()].map((kernel) => ({ kernel, source: files.get(kernel.file)! }));
}

describe.each(Object.entries(MODELS))("%s", (_, models) => {
  test("have each stage in their sources, in order, and nothing between", () => {
    for (const { kernel, source } of models.flatMap(kernels)) {
      const ranges = [...stageLines(kernel, source)];
      expect(ranges.map(([stage]) => stage)).toEqual(kernel.stages);
      let next: number | undefined;
      for (const [stage, { first, last }] of ranges) {
        expect(first, `${stage} in ${kernel.file}`).toBeGreaterThan(0);
        expect(last, `${stage} in ${kernel.file}`).toBeGreaterThan(first);
        if (next !== undefined) expect(first, `${stage} in ${kernel.file}`).toBe(next);
        next = last + 1;
      }
      expect(source.split("\n")[next! - 2]).toBe("}");
      if (kernel.stages.length > 1) expect(source.match(/\/\/ Stage: /g)).toHaveLength(kernel.stages.length);
    }
  });
});

test("the lines of a stage are those that do it", () => {
  const model = oneLayer({ inputs: 64, rows: 1000, k: 8, weight: "w", estimator: quantized({ bits: 4 }) });
  for (const { kernel, source } of kernels(model)) {
    const range = stageLines(kernel, source).get("topk");
    if (!range) continue;
    const text = source.split("\n").slice(range.first - 1, range.last);
    expect(text[0]).toMatch(/\/\/ Stage: topk\./);
    expect(text.join("\n")).toMatch(/indices\[token \* K \+ rank\] = /);
    expect(text.join("\n")).not.toMatch(/partial_score/);
  }
});
