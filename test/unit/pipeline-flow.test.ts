// The picture of a pipeline says what `hirec explain` says.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { flowOf, layerKernels } from "../../compiler/cli/explain/flow.ts";
import { explainModel } from "../../compiler/cli/explain/model.ts";
import { compileText } from "../../compiler/compile-text.ts";

const CERTIFIED = `import { defineModel, quantized, softmax } from "hirec";
export default defineModel("certified", {
  head: softmax({ inputs: 64, rows: 1000, weight: "w", estimator: quantized({ bits: 4 }), k: 8, certify: "fallback", mask: true }),
});`;

const example = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../examples/${name}/${name}.hire.ts`, import.meta.url)), "utf8");

const SPECS = {
  ...Object.fromEntries(["tiny-lm", "tiny-lm-4", "gemma-2-2b", "llama-3.2-1b"].map((name) => [name, example(name)])),
  certified: CERTIFIED,
};

describe.each(Object.entries(SPECS))("%s", (_, spec) => {
  test("its kernels, and the bytes that they read of the weights", async () => {
    const { plan } = await compileText(spec, { targets: ["wgsl", "cuda"] });
    for (const layer of explainModel(plan).layers) {
      for (const { profile } of plan.programs) {
        const flow = flowOf(plan, profile, layer);
        const kernels = layerKernels(plan, profile, layer.layer);
        expect(flow.map(({ kernel }) => kernel)).toEqual(kernels.slice(0, flow.length - 1).concat(kernels.at(-1)!));

        const read = (...names: string[]) =>
          flow
            .filter(({ rare }) => !rare)
            .flatMap(({ weights }) => weights.filter(({ what }) => names.includes(what)))
            .reduce((sum, { bytes }) => sum + bytes, 0);
        const { score, rescore } = layer.reads.at(-1)!;
        expect(read("scored copy", "basis")).toBe(score);
        expect(read("exact rows", "exact bundles")).toBe(rescore);
        for (const { writes } of flow) expect(writes.bytes).toBeGreaterThan(0);
      }
    }
  });
});

test("what only tokens without proof need is told apart", async () => {
  const { plan } = await compileText(SPECS.certified, { targets: ["wgsl"] });
  const flow = flowOf(plan, "webgpu-default", explainModel(plan).layers[0]!);
  expect(flow.filter(({ rare }) => rare).map(({ kernel }) => kernel.stages[0])).toEqual([
    "fallback plan",
    "fallback score",
    "fallback topk",
  ]);
  expect(flow.find(({ kernel }) => kernel.stages[0] === "fallback score")!.weights).toContainEqual({
    what: "all exact rows",
    bytes: 1000 * 64 * 2,
  });
  expect(flow[0]!.inputs.map(({ what }) => what)).toContain("mask");
});
