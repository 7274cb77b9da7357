// expect HIRE-SPEC-012 at 5:81: `k` (257) is larger than `rows` (256)
import { defineModel, dense, softmax } from "hirec";

export default defineModel("written-with-extra-arguments", {
  head: softmax({ inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 257 }, 0),
});
