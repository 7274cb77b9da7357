// expect HIRE-SPEC-014 at 15:50: `estimator` cannot be a plain object
// expect HIRE-SPEC-014 at 16:53: `estimator` cannot be a function
// expect HIRE-SPEC-014 at 17:47: `estimator` cannot be null
// expect HIRE-SPEC-014 at 18:48: `estimator` cannot be softmax(…)
// expect HIRE-SPEC-014 at 19:40: `select` cannot be "exact"
// expect HIRE-SPEC-014 at 20:16: Layer "plain_layer" is a plain object, not a layer
// expect HIRE-SPEC-014 at 21:13: Layer "no_layer" is null, not a layer
// expect HIRE-SPEC-014 at 22:20: Layer "undefined_layer" is undefined, not a layer
// expect HIRE-SPEC-014 at 23:23: Layer "estimator_as_layer" is dense(…), not a layer
import { defineModel, dense, quantized, softmax } from "hirec";

const head = { inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 4 };

export default defineModel("not-built", {
  plain_estimator: softmax({ ...head, estimator: { bits: 4 } }),
  uncalled_estimator: softmax({ ...head, estimator: quantized }),
  no_estimator: softmax({ ...head, estimator: null }),
  wrong_builder: softmax({ ...head, estimator: softmax(head) }),
  selector: softmax({ ...head, select: "exact" }),
  plain_layer: { inputs: 64 },
  no_layer: null,
  undefined_layer: undefined,
  estimator_as_layer: dense(),
});
