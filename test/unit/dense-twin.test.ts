// The dense twin, which is made from a plan, against the same spec with dense() in place of its estimators.

import {
  defineModel,
  dense,
  type Estimator,
  ffn,
  lowRank,
  type Model,
  multinomial,
  quantized,
  softmax,
  statistical,
  twoStage,
} from "hirec";
import { compileModel } from "hirec/compiler";
import { expect, test } from "vitest";
import { denseTwin } from "../../compiler/dense-twin.ts";

/**
 * @param cheap what is said of heads.
 * @param all what is said of all layers.
 */
function model(estimator: Estimator, cheap: object, all: object = {}): Model {
  const weights = { gate: "gate", up: "up", down: "down" };
  return defineModel("twins", {
    plain: softmax({ inputs: 64, rows: 512, weight: "w", estimator, k: 8, ...cheap, ...all }),
    options: softmax({
      ...{ inputs: 48, rows: 300, dtype: "f16", weight: "w", bias: "b", mask: true, estimator, k: 5, batch: 3 },
      ...{ transform: (s: number) => 30 * Math.tanh(s / 30), temperature: 0.7, logSumExp: true },
      ...{ sample: multinomial({ topK: 4, topP: 0.9 }), ...cheap, ...all },
    }),
    gated: ffn({
      ...{ inputs: 64, hidden: 256, outputs: 32, weights, bias: { gate: "bg", up: "bu", down: "bd" }, batch: 2 },
      ...{ activation: (z: number) => z / (1 + Math.exp(-z)), estimator, k: 4, common: 2 },
      ...{ group: { size: 8, score: (z: number) => z * z }, ...all },
    }),
    plainFfn: ffn({
      ...{ inputs: 64, hidden: 200, gated: false, weights: { up: "up", down: "down" }, k: 0.1, estimator },
      ...{ activation: (z: number) => Math.max(z, 0), group: { size: 16, score: "l2" as const } },
      ...all,
    }),
  });
}

const denseModel = () => compileModel(model(dense(), {}), { targets: ["wgsl"] });

test.each([
  ["codes", quantized({ bits: 4 }), { candidates: 16, select: twoStage({ recall: 0.9 }) }],
  ["a low rank", lowRank({ rank: 8, bits: 8 }), { candidates: 16, select: statistical() }],
])("a layer with %s has the twin that dense() in its spec would compile to", (_name, estimator, cheap) => {
  const { plan } = compileModel(model(estimator, cheap, { crossover: "ignore" }), { targets: ["wgsl", "cuda"] });
  const twin = denseTwin(plan);
  const wanted = denseModel();
  expect(twin.plan).toEqual(wanted.plan);
  expect([...twin.files]).toEqual([...wanted.files]);
});

test("a certified layer has a twin that is not certified", () => {
  const layer = { inputs: 64, rows: 512, weight: "w", k: 8 };
  const head = (options: object) => defineModel("m", { head: softmax({ ...layer, estimator: dense(), ...options }) });
  const certified = compileModel(head({ estimator: quantized({ bits: 8 }), certify: "fallback" }));
  expect(denseTwin(certified.plan).plan).toEqual(compileModel(head({})).plan);
});

test("a twin is made of the layers that are named, and refused for others", () => {
  const { plan } = denseModel();
  expect(Object.keys(denseTwin(plan, ["gated"]).plan.layers)).toEqual(["gated"]);
  expect(() => denseTwin(plan, ["nothing"])).toThrow("HIRE-RUN-008");
});
