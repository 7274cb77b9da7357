// expect HIRE-SPEC-011 at 11:17: `k` (8) is larger than `candidates` (4)
import { defineModel, quantized, softmax } from "hirec";

export default defineModel("k-above-candidates", {
  head: softmax({
    inputs: 64,
    rows: 256,
    weight: "head",
    estimator: quantized({ bits: 4 }),
    k: 8,
    candidates: 4,
  }),
});
