// expect HIRE-SPEC-015 at 11:5: `candidates` has no meaning with dense(), which scores every row exactly
import { defineModel, dense, softmax } from "hirec";

export default defineModel("candidates-of-dense", {
  head: softmax({
    inputs: 64,
    rows: 256,
    weight: "head",
    estimator: dense(),
    k: 4,
    candidates: 16,
  }),
});
