// Random small layers to attack, with a plan each and no kernels.

import { check } from "../../compiler/check.ts";
import { tile } from "../../compiler/tile.ts";
import { defineModel, exact, quantized, softmax, twoStage } from "../../dsl/index.ts";
import type { SoftmaxPlan } from "../../runtime/plan.ts";
import { integer, type Random } from "../cases/random.ts";
import type { SoftmaxCase } from "../cases/softmax-case.ts";

export type Layer = SoftmaxCase["layer"];

export function randomLayer(random: Random): Layer {
  const pick = <Value>(values: readonly Value[]): Value => values[Math.floor(random() * values.length)]!;
  const k = integer(random, 1, 4);
  const rows = integer(random, 40, 240);
  return {
    inputs: integer(random, 6, 140),
    rows,
    dtype: pick(["f32", "f16", "bf16"] as const),
    estimator: quantized({
      bits: pick([4, 8, 4, 8, 2, 3, 5, 6] as const),
      group: pick([32, 64, 128, "row"] as const),
      activations: pick(["int8", "f32"] as const),
    }),
    k,
    candidates: k + integer(random, 0, 12),
    select: random() < 0.5 ? exact() : twoStage({ recall: pick([0.5, 0.9, 0.99]) }),
    certify: pick(["report", "fallback"] as const),
    batch: integer(random, 1, 3),
  };
}

export function planOf(layer: Layer): SoftmaxPlan {
  const model = defineModel("attack", { head: softmax({ ...layer, weight: "head" }) });
  return tile(check({ model, sites: [] }).layers[0]!) as SoftmaxPlan;
}
