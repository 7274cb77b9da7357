// The output head of tiny-lm: 8192 tokens, tied to the embedding.
import { defineModel, quantized, softmax, twoStage } from "hirec";

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
});
