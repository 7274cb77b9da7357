// expect HIRE-SPEC-012 at 5:76: `k` (257) is larger than `rows` (256)
import { defineModel as model, dense as all, softmax as head } from "hirec";

export default model("written-with-aliases", {
  head: head({ inputs: 64, rows: 256, weight: "head", estimator: all(), k: 257 }),
});
