// The output head of Llama 3.2 1B, to read what it compiles to: the weights are not part of this repository.
import { defineModel, quantized, softmax } from "hirec";

export default defineModel("llama-3.2-1b", {
  head: softmax({
    inputs: 2048,
    rows: 128256,
    dtype: "bf16",
    weight: "model.embed_tokens.weight",
    estimator: quantized({ bits: 4, group: 32 }),
    k: 64,
    candidates: 256,
    batch: 4,
  }),
});
