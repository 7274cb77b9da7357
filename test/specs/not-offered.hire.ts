// expect HIRE-SPEC-013 at 12:57: `bits` cannot be 7
// expect HIRE-SPEC-013 at 13:65: `bits` cannot be "4"
// expect HIRE-SPEC-013 at 14:68: `group` cannot be 48
// expect HIRE-SPEC-013 at 15:80: `activations` cannot be "int4"
// expect HIRE-SPEC-013 at 16:36: `dtype` cannot be "F32"
// expect HIRE-SPEC-013 at 17:39: `dtype` cannot be null
import { defineModel, dense, quantized, softmax } from "hirec";

const head = { inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 4 };

export default defineModel("not-offered", {
  bits: softmax({ ...head, estimator: quantized({ bits: 7 }) }),
  bits_as_text: softmax({ ...head, estimator: quantized({ bits: "4" }) }),
  group: softmax({ ...head, estimator: quantized({ bits: 4, group: 48 }) }),
  activations: softmax({ ...head, estimator: quantized({ bits: 4, activations: "int4" }) }),
  dtype: softmax({ ...head, dtype: "F32" }),
  no_dtype: softmax({ ...head, dtype: null }),
});
