// expect HIRE-SPEC-012 at 11:8: `k` (257) is larger than `rows` (256)
// expect HIRE-SPEC-012 at 19:17: `candidates` (1024) is larger than `rows` (256)
import { defineModel, dense, quantized, softmax } from "hirec";

export default defineModel("above-rows", {
  k_above_rows: softmax({
    inputs: 64,
    rows: 256,
    weight: "head",
    estimator: dense(),
    k: 257,
  }),
  candidates_above_rows: softmax({
    inputs: 64,
    rows: 256,
    weight: "head",
    estimator: quantized({ bits: 4 }),
    k: 256,
    candidates: 1024,
  }),
});
