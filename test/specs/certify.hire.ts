// expect HIRE-SPEC-013 at 11:39: `certify` cannot be "always"
// expect HIRE-SPEC-013 at 12:42: `certify` cannot be true
// expect HIRE-SPEC-015 at 13:49: `certify` has no meaning with dense() and exact(), which miss no row
// expect HIRE-SPEC-015 at 14:93: `certify: "fallback"` has no meaning with dense(), which has no cheaper scores
// expect HIRE-SPEC-026 at 15:54: 131073 inputs are too many to certify; at most 131072 are
import { defineModel, dense, quantized, softmax, twoStage } from "hirec";

const head = { inputs: 64, rows: 256, weight: "head", estimator: quantized({ bits: 4 }), k: 4 };

export default defineModel("certify", {
  always: softmax({ ...head, certify: "always" }),
  no_choice: softmax({ ...head, certify: true }),
  exact: softmax({ ...head, estimator: dense(), certify: "report" }),
  dense: softmax({ ...head, estimator: dense(), select: twoStage({ recall: 0.9 }), certify: "fallback" }),
  wide: softmax({ ...head, inputs: 131_073, certify: "report" }),
});
