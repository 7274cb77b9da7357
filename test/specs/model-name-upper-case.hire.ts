// expect HIRE-SPEC-006 at 4:28: "Tiny" cannot name a model
import { defineModel, dense, softmax } from "hirec";

export default defineModel("Tiny", {
  head: softmax({ inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 4 }),
});
