// expect HIRE-SPEC-007 at 10:3: "k" is given twice in the same object
import { defineModel, dense, softmax } from "hirec";

const shared = {
  inputs: 64,
  k: 4,
  rows: 256,
  weight: "head",
  estimator: dense(),
  k: 8,
};

export default defineModel("given-twice", {
  head: softmax(shared),
  draft: softmax({ ...shared, weight: "draft" }),
});
