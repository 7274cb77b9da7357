// expect HIRE-SPEC-006 at 19:3: "7" cannot name a layer
// expect HIRE-SPEC-006 at 13:3: "../x" cannot name a layer
// expect HIRE-SPEC-006 at 14:3: "a;b" cannot name a layer
// expect HIRE-SPEC-006 at 15:3: "a b" cannot name a layer
// expect HIRE-SPEC-006 at 16:3: "" cannot name a layer
// expect HIRE-SPEC-006 at 17:3: "__proto__" cannot name a layer
// expect HIRE-SPEC-006 at 18:3: "_private" cannot name a layer
import { defineModel, dense, softmax } from "hirec";

const head = softmax({ inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 4 });

export default defineModel("layer-names", {
  "../x": head,
  "a;b": head,
  "a b": head,
  "": head,
  ["__proto__"]: head,
  _private: head,
  7: head,
  good_Name7: head,
});
