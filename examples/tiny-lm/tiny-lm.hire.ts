// tiny-lm: its output head, 8192 tokens tied to the embedding, and its three feed-forwards, which were trained to keep 16
// of their 128 groups of 8 neurons.
import { defineModel, ffn, quantized, softmax, twoStage } from "hirec";

const mlps = [0, 1, 2].map((layer) => {
  const weight = (matrix: string) => `model.layers.${layer}.mlp.${matrix}_proj.weight`;
  const mlp = ffn({
    inputs: 256,
    hidden: 1024,
    dtype: "bf16",
    weights: { gate: weight("gate"), up: weight("up"), down: weight("down") },
    activation: (z) => Math.max(z, 0),
    estimator: quantized({ bits: 4, group: 32 }),
    group: { size: 8, score: "max" },
    k: 16,
    candidates: 24,
    batch: 4,
  });
  return [`mlp${layer}`, mlp] as const;
});

export default defineModel("tiny-lm", {
  head: softmax({
    inputs: 256,
    rows: 8192,
    dtype: "bf16",
    weight: "model.embed_tokens.weight",
    estimator: quantized({ bits: 4, group: 32 }),
    k: 32,
    candidates: 128,
    select: twoStage({ recall: 0.99 }),
    batch: 8,
  }),
  ...Object.fromEntries(mlps),
});
