// expect HIRE-SPEC-010 at 7:3: `rows` must be a whole number from 1 to 16777216, not 0
import { defineModel, dense, softmax, type SoftmaxOptions } from "hirec";

const rows = 0;
const options = {
  inputs: 64,
  rows,
  weight: "head",
  estimator: dense(),
  k: 4,
} satisfies SoftmaxOptions;

export default defineModel("written-as-constant", { head: softmax(options) });
