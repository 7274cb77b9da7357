// The output head of a language model. Every option is explained in docs/usage.md of hirec.
import { defineModel, quantized, softmax, twoStage } from "hirec";

export default defineModel("lm-head", {
  head: softmax({
    inputs: 768, // width of the hidden state
    rows: 50257, // size of the vocabulary
    dtype: "bf16", // as in the weights file
    weight: "lm_head.weight", // the tensor's name there
    estimator: quantized({ bits: 4, group: 32 }), // the cheap copy that scores every row
    k: 32, // rows returned per token
    candidates: 128, // rows recomputed exactly per token
    select: twoStage({ recall: 0.99 }),
  }),
});
