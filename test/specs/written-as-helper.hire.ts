// expect HIRE-SPEC-012 at 5:74: `k` (300) is larger than `rows` (256)
import { defineModel, dense, softmax } from "hirec";

function head(rows: number, k: number) {
  return softmax({ inputs: 64, rows, weight: "head", estimator: dense(), k });
}

export default defineModel("written-as-helper", { small: head(256, 4), large: head(256, 300) });
