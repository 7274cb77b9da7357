// expect HIRE-SPEC-005 at 1:1: The spec has no default export
import { defineModel, dense, softmax } from "hirec";

export const model = defineModel("no-default-export", {
  head: softmax({ inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 4 }),
});
