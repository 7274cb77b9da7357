// expect HIRE-SPEC-007 at 9:3: "head" is given twice in the same object
import { defineModel, dense, softmax } from "hirec";

const head = softmax({ inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 4 });

export default defineModel("two-of-one-name", {
  head,
  draft: head,
  "head": head,
});
