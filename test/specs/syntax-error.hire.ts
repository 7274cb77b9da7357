// expect HIRE-SPEC-002 at 5:30: This is not valid TypeScript: ',' expected
import { defineModel, dense, softmax } from "hirec";

export default defineModel("broken", {
  head: softmax({ inputs: 64 rows: 256, weight: "head", estimator: dense(), k: 4 }),
});
