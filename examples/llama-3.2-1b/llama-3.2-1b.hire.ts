// Llama 3.2 1B, to read what it compiles to: its output head, and the first of its feed-forwards. The weights are not part of
// this repository. SiLU is not sparse: to keep 5 % of its groups without a loss, a model has to be trained for it.
import { defineModel, ffn, lowRank, quantized, softmax } from "hirec";

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
  mlp0: ffn({
    inputs: 2048,
    hidden: 8192,
    dtype: "bf16",
    weights: {
      gate: "model.layers.0.mlp.gate_proj.weight",
      up: "model.layers.0.mlp.up_proj.weight",
      down: "model.layers.0.mlp.down_proj.weight",
    },
    activation: (z) => z / (1 + Math.exp(-z)),
    estimator: lowRank({ rank: 256, bits: 8, basis: "activations" }),
    k: 0.05,
    candidates: 0.1,
  }),
});
