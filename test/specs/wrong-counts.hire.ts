// expect HIRE-SPEC-010 at 20:39: `k` must be a whole number from 1 to 16777216, not NaN
// expect HIRE-SPEC-010 at 21:35: `k` must be a whole number from 1 to 16777216, not -1
// expect HIRE-SPEC-010 at 22:38: `rows` must be a whole number from 1 to 16777216, not 1.5
// expect HIRE-SPEC-010 at 23:36: `inputs` must be a whole number from 1 to 16777216, not "32"
// expect HIRE-SPEC-010 at 24:38: `rows` must be a whole number from 1 to 16777216, not Infinity
// expect HIRE-SPEC-010 at 25:34: `rows` must be a whole number from 1 to 16777216, not 1000000000
// expect HIRE-SPEC-010 at 26:31: `k` must be a whole number from 1 to 16777216, not 0
// expect HIRE-SPEC-010 at 27:31: `k` must be a whole number from 1 to 16777216, not null
// expect HIRE-SPEC-010 at 28:35: `inputs` must be a whole number from 1 to 16777216, not 64n
// expect HIRE-SPEC-010 at 29:41: `batch` must be a whole number from 1 to 16, not 17
// expect HIRE-SPEC-010 at 30:74: `candidates` must be a whole number from 1 to 16777216, not null
// expect HIRE-SPEC-010 at 31:55: `recall` must be a number above 0 and at most 1, not 1.5
// expect HIRE-SPEC-010 at 32:56: `recall` must be a number above 0 and at most 1, not 0
// expect HIRE-SPEC-010 at 33:58: `recall` must be a number above 0 and at most 1, not "0.9"
import { defineModel, dense, quantized, softmax, twoStage } from "hirec";

const head = { inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 4 };

export default defineModel("wrong-counts", {
  not_a_number: softmax({ ...head, k: Number.NaN }),
  negative: softmax({ ...head, k: -1 }),
  fraction: softmax({ ...head, rows: 1.5 }),
  text: softmax({ ...head, inputs: "32" }),
  infinite: softmax({ ...head, rows: Infinity }),
  huge: softmax({ ...head, rows: 1e9 }),
  zero: softmax({ ...head, k: 0 }),
  none: softmax({ ...head, k: null }),
  big: softmax({ ...head, inputs: 64n }),
  wide_batch: softmax({ ...head, batch: 17 }),
  few: softmax({ ...head, estimator: quantized({ bits: 8 }), candidates: null }),
  sure: softmax({ ...head, select: twoStage({ recall: 1.5 }) }),
  never: softmax({ ...head, select: twoStage({ recall: 0 }) }),
  unknown: softmax({ ...head, select: twoStage({ recall: "0.9" }) }),
});
