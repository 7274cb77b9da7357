// expect HIRE-SPEC-006 at 8:3: "__proto__" cannot name a layer
import { defineModel, dense, softmax } from "hirec";

const options = { inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 4 };

export default defineModel("layer-name-proto", {
  head: softmax(options),
  __proto__: softmax(options),
});
