import { dense, softmax } from "hirec";

export const head = softmax({
  inputs: 64,
  rows: 256,
  weight: "head",
  estimator: dense(),
  k: 999,
});
