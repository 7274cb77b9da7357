// expect HIRE-SPEC-027 at 12:41: `transform` must keep the order of scores, but is 200 at -200 and 199.969 at -199.969
// expect HIRE-SPEC-027 at 13:43: `transform` must keep the order of scores, but is NaN at -200
// expect HIRE-SPEC-021 at 14:43: `transform` takes 0 parameters instead of one
// expect HIRE-SPEC-027 at 15:43: `transform` must keep the order of scores, but is NaN at -Infinity
import { defineModel, quantized, softmax } from "hirec";

const base = { inputs: 64, rows: 256, weight: "w", estimator: quantized({ bits: 4 }), k: 4 } as const;

const turn = base;

export default defineModel("transforms", {
  turned: softmax({ ...turn, transform: (s) => Math.abs(s) }),
  negative: softmax({ ...turn, transform: (s) => Math.log(s) }),
  constant: softmax({ ...turn, transform: () => 3 }),
  infinite: softmax({ ...turn, transform: (s) => s / (1 + Math.abs(s)) }),
});
