// expect HIRE-SPEC-006 at 8:3: Layers "head" and "Head" differ only in case
import { defineModel, dense, softmax } from "hirec";

const head = softmax({ inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 4 });

export default defineModel("case", {
  head,
  Head: head,
});
