// expect HIRE-SPEC-012 at 5:93: `k` (257) is larger than `rows` (256)
import * as hirec from "hirec";

export default hirec.defineModel("written-with-a-namespace", {
  head: hirec.softmax({ inputs: 64, rows: 256, weight: "head", estimator: hirec.dense(), k: 257 }),
});
