// expect HIRE-SPEC-006 at 4:28: "a..b" cannot name a model
import { defineModel, dense, softmax } from "hirec";

export default defineModel("a..b", {
  head: softmax({ inputs: 4, rows: 8, weight: "w", estimator: dense(), k: 2 }),
});
