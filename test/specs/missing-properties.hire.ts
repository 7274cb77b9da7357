// expect HIRE-SPEC-009 at 13:12: softmax needs `inputs`
// expect HIRE-SPEC-009 at 13:12: softmax needs `rows`
// expect HIRE-SPEC-009 at 13:12: softmax needs `k`
// expect HIRE-SPEC-009 at 13:12: softmax needs `weight`
// expect HIRE-SPEC-009 at 13:12: softmax needs `estimator`
// expect HIRE-SPEC-009 at 14:9: softmax needs `k`
// expect HIRE-SPEC-009 at 15:12: softmax needs `rows`
// expect HIRE-SPEC-009 at 16:72: quantized needs `bits`
// expect HIRE-SPEC-009 at 23:13: twoStage needs `recall`
import { defineModel, dense, quantized, softmax, twoStage } from "hirec";

export default defineModel("missing-properties", {
  nothing: softmax(),
  no_k: softmax({ inputs: 64, rows: 256, weight: "head", estimator: quantized({ bits: 4 }) }),
  no_rows: softmax({ inputs: 64, weight: "head", estimator: dense(), k: 4 }),
  no_bits: softmax({ inputs: 64, rows: 256, weight: "head", estimator: quantized({}), k: 4 }),
  no_recall: softmax({
    inputs: 64,
    rows: 256,
    weight: "head",
    estimator: dense(),
    k: 4,
    select: twoStage({}),
  }),
});
