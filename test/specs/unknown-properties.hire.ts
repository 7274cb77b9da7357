// expect HIRE-SPEC-008 at 20:5: softmax has no property "candidate"
// expect HIRE-SPEC-008 at 13:7: quantized has no property "groups"
// expect HIRE-SPEC-008 at 17:7: twoStage has no property "recal"
import { defineModel, quantized, softmax, twoStage } from "hirec";

export default defineModel("unknown-properties", {
  head: softmax({
    inputs: 64,
    rows: 256,
    weight: "head",
    estimator: quantized({
      bits: 4,
      groups: 32,
    }),
    k: 4,
    select: twoStage({
      recal: 0.5,
      recall: 0.9,
    }),
    candidate: 8,
  }),
});
