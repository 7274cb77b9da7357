// expect HIRE-SPEC-010 at 16:41: `temperature` must be a number from 0.000001 to 1000000, not 0
// expect HIRE-SPEC-015 at 17:30: `tail` has no meaning without logSumExp, the only sum that has one
// expect HIRE-SPEC-010 at 18:61: `topP` must be a number above 0 and at most 1, not 1.5
// expect HIRE-SPEC-010 at 19:59: `topK` must be a whole number from 1 to 4, not 5
// expect HIRE-SPEC-014 at 20:44: `sample` cannot be "greedy"
// expect HIRE-SPEC-013 at 21:41: `mask` cannot be "yes"
// expect HIRE-SPEC-016 at 22:41: `bias` must be the name of a tensor, not 3
// expect HIRE-SPEC-015 at 23:52: `certify` has no meaning with `bias`, of which its proof knows nothing yet
// expect HIRE-SPEC-015 at 24:51: `certify` has no meaning with `logSumExp`, which a fallback does not compute again
// expect HIRE-SPEC-015 at 25:74: `certify` has no meaning with `tail`, since it ranks rows by upper bounds, not by estimates
import { defineModel, greedy, multinomial, quantized, softmax } from "hirec";

const base = { inputs: 64, rows: 256, weight: "w", estimator: quantized({ bits: 4 }), k: 4 } as const;

export default defineModel("softmax-options", {
  cold: softmax({ ...base, temperature: 0 }),
  tailed: softmax({ ...base, tail: "estimate" }),
  above_one: softmax({ ...base, sample: multinomial({ topP: 1.5 }) }),
  above_k: softmax({ ...base, sample: multinomial({ topK: 5 }) }),
  sampled_text: softmax({ ...base, sample: "greedy" as never }),
  masked_text: softmax({ ...base, mask: "yes" as never }),
  bias_number: softmax({ ...base, bias: 3 as never }),
  certified: softmax({ ...base, certify: "report", bias: "b", sample: greedy() }),
  summed: softmax({ ...base, certify: "fallback", logSumExp: true }),
  tail_of_bounds: softmax({ ...base, certify: "report", logSumExp: true, tail: "estimate" }),
});
