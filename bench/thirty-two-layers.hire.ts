// A model with as many layers as large ones have, for the time that compiling takes: the shapes of Llama 3.1 8B.
import { defineModel, ffn, quantized, softmax } from "hirec";

const mlps = Array.from({ length: 32 }, (_, layer) => {
  const weight = (matrix: string) => `model.layers.${layer}.mlp.${matrix}_proj.weight`;
  const mlp = ffn({
    inputs: 4096,
    hidden: 14336,
    weights: { gate: weight("gate"), up: weight("up"), down: weight("down") },
    activation: (z) => z / (1 + Math.exp(-z)),
    estimator: quantized({ bits: 4 }),
    k: 0.05,
    candidates: 0.1,
    batch: 4,
  });
  return [`mlp${layer}`, mlp] as const;
});

export default defineModel("thirty-two-layers", {
  head: softmax({
    inputs: 4096,
    rows: 128256,
    weight: "lm_head.weight",
    estimator: quantized({ bits: 4 }),
    k: 64,
    candidates: 256,
    batch: 4,
  }),
  ...Object.fromEntries(mlps),
});
