// Gemma 2 2B, to read what it compiles to: its output head, with the softcap that it was trained with, and the first of its
// feed-forwards. The weights are not part of this repository. Its 1.2 GB of exact weights in the head exceed WebGPU's
// default binding of 128 MiB nine times, so they are sliced. GELU is not sparse: to keep 5 % of its groups without a loss,
// a model has to be trained for it.
import { defineModel, ffn, quantized, softmax } from "hirec";

const gelu = (z: number) => 0.5 * z * (1 + Math.tanh(0.7978845608 * (z + 0.044715 * z * z * z)));

export default defineModel("gemma-2-2b", {
  head: softmax({
    inputs: 2304,
    rows: 256000,
    dtype: "bf16",
    weight: "model.embed_tokens.weight",
    transform: (score) => 30 * Math.tanh(score / 30),
    estimator: quantized({ bits: 4, group: 128 }),
    k: 64,
    candidates: 256,
  }),
  mlp0: ffn({
    inputs: 2304,
    hidden: 9216,
    dtype: "bf16",
    weights: {
      gate: "model.layers.0.mlp.gate_proj.weight",
      up: "model.layers.0.mlp.up_proj.weight",
      down: "model.layers.0.mlp.down_proj.weight",
    },
    activation: gelu,
    estimator: quantized({ bits: 4, group: 128 }),
    k: 0.05,
    candidates: 0.1,
  }),
});
