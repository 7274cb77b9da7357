// The output head of Gemma 2 2B, to read what it compiles to: the weights are not part of this repository.
// Its 1.2 GB of exact weights exceed WebGPU's default binding of 128 MiB nine times, so they are sliced.
import { defineModel, quantized, softmax } from "hirec";

export default defineModel("gemma-2-2b", {
  head: softmax({
    inputs: 2304,
    rows: 256000,
    dtype: "bf16",
    weight: "model.embed_tokens.weight",
    estimator: quantized({ bits: 4, group: 128 }),
    k: 64,
    candidates: 256,
  }),
});
