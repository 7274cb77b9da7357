// expect HIRE-SPEC-016 at 10:37: `weight` must be the name of a tensor, not ""
// expect HIRE-SPEC-016 at 11:38: `weight` must be the name of a tensor, not 7
// expect HIRE-SPEC-016 at 12:39: `weight` must be the name of a tensor, not "lm\nhead"
// expect HIRE-SPEC-016 at 13:36: `weight` must be the name of a tensor, not null
import { defineModel, dense, softmax } from "hirec";

const head = { inputs: 64, rows: 256, estimator: dense(), k: 4 };

export default defineModel("tensor-names", {
  empty: softmax({ ...head, weight: "" }),
  number: softmax({ ...head, weight: 7 }),
  control: softmax({ ...head, weight: "lm\nhead" }),
  none: softmax({ ...head, weight: null }),
});
