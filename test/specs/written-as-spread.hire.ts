// expect HIRE-SPEC-010 at 4:34: `rows` must be a whole number from 1 to 16777216, not 0
import { defineModel, dense, softmax } from "hirec";

const size = { inputs: 64, rows: 0 } as const;
const shared = { ...size, weight: "head", estimator: dense() };

export default defineModel("written-as-spread", {
  head: softmax({ ...shared, k: 4 }),
});
