// What an evaluation warns of, and what it compares.

import { writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { evaluateCommand } from "../../../compiler/cli/commands/evaluate.ts";
import { packCommand } from "../../../compiler/cli/commands/pack.ts";
import { warningsOf } from "../../../compiler/cli/evaluate/warnings.ts";
import type { LayerEvaluation } from "../../../runtime/node/evaluate-file.ts";
import { at, outcomeOf, SPEC, useSmallLayer } from "./small-layer.ts";

useSmallLayer();

describe("an evaluation warns where a sign of failure shows", () => {
  const summary = (mean: number) => ({ mean, min: 0, p1: 0, p5: 0, p50: 1, p95: 1, p99: 1, max: 1 });
  const good: LayerEvaluation = {
    ...{ layer: "head", kind: "softmax", k: 8, candidates: 32, tokens: 100, recall: summary(0.99), agreement: 1 },
    certified: 0.9,
    estimates: {
      ...{ tokens: 64, correlation: 0.99, survivingK: 0.991, predictedK: 0.99 },
      scores: { exact: { from: 0, to: 1, counts: [1] }, estimates: [1], kth: 1, cut: 1 },
    },
  };

  test.each([
    ["HIRE-CAL-010", { recall: summary(0.94) }],
    ["HIRE-CAL-011", { estimates: { ...good.estimates!, survivingK: 0.93 } }],
    ["HIRE-CAL-012", { estimates: { ...good.estimates!, correlation: 0.85 } }],
    ["HIRE-CAL-013", { certified: 0.2 }],
  ])("%s", (code, changes) => {
    expect(warningsOf(good, 0.95)).toEqual([]);
    expect(warningsOf({ ...good, ...changes }, 0.95).map((warning) => warning.code)).toEqual([code]);
  });

  test("and compares what a device returns with the exact layer", async () => {
    await writeFile(at("small.hire.ts"), SPEC.replace("bits: 8", "bits: 2").replace("candidates: 64", "candidates: 8"));
    const paths = { module: at("small.hire.ts"), weights: [at("w.safetensors")], activations: undefined };
    await outcomeOf(packCommand, { ...paths, out: at("small.pack") });
    const evaluated = await outcomeOf(evaluateCommand, {
      ...{ module: at("small.hire.ts"), weights: at("small.pack"), exact: [at("w.safetensors")] },
      ...{ activations: [at("x.safetensors")], device: "reference", tokens: 40, recall: 0.95 },
    });
    expect(evaluated).toMatchObject({ exitCode: 0, warnings: [{ code: "HIRE-CAL-010" }] });
    const [layer] = evaluated.layers as LayerEvaluation[];
    expect(layer).toMatchObject({ layer: "head", tokens: 40, estimates: { tokens: 40 } });
    // Eight candidates for eight results: what the estimates choose is returned.
    expect(layer!.recall.mean).toBeLessThan(0.9);
    expect(layer!.valueError).toBeLessThan(1e-4);
    expect(layer!.divergence!.mean).toBeGreaterThan(layer!.unavoidable!.mean);
  });
});
