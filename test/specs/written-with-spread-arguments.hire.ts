// expect HIRE-SPEC-012 at 7:9: `k` (257) is larger than `rows` (256)
import { defineModel, dense, softmax } from "hirec";

const options = [{ inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 257 }] as const;

export default defineModel("written-with-spread-arguments", {
  head: softmax(...options),
});
