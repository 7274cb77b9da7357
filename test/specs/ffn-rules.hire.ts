// expect HIRE-SPEC-012 at 34:39: `k` (14) is larger than the number of groups to select from (13)
// expect HIRE-SPEC-011 at 35:54: `k` (4) is larger than `candidates` (3)
// expect HIRE-SPEC-012 at 36:47: `candidates` (14) is larger than the number of groups to select from (13)
// expect HIRE-SPEC-012 at 37:36: `k` (5) is larger than the number of groups to select from (4)
// expect HIRE-SPEC-010 at 38:31: `k` must be a number of groups, or above 0 and below 1 a share of them, not 1.5
// expect HIRE-SPEC-010 at 39:46: `candidates` must be a number of groups, or above 0 and below 1 a share of them, not -0.1
// expect HIRE-SPEC-010 at 40:38: `common` must be a whole number from 0 to 12, not 13
// expect HIRE-SPEC-010 at 41:46: `size` must be a whole number from 1 to 64, not 65
// expect HIRE-SPEC-013 at 42:47: `score` cannot be "mean"
// expect HIRE-SPEC-008 at 43:45: `group` of ffn has no property "width"
// expect HIRE-SPEC-015 at 27:14: `gate` has no meaning where `gated` is false
// expect HIRE-SPEC-009 at 45:36: `weights` of ffn needs `down`
// expect HIRE-SPEC-008 at 46:76: `weights` of ffn has no property "side"
// expect HIRE-SPEC-014 at 47:41: `weights` cannot be "mlp"
// expect HIRE-SPEC-015 at 48:48: `candidates` has no meaning with dense(), which scores every neuron exactly
// expect HIRE-SPEC-012 at 49:57: `rank` (65) is larger than the matrix of 100 × 64 can have
// expect HIRE-SPEC-013 at 50:39: `crossover` cannot be "never"
// expect HIRE-SPEC-013 at 51:105: `bits` cannot be 5
// expect HIRE-SPEC-015 at 57:58: `activations: "int8"` has no meaning with factors of 16 bits, which are floats
// expect HIRE-SPEC-009 at 59:75: lowRank needs `rank`
// expect HIRE-SPEC-015 at 66:5: `certify` has no meaning with lowRank(), whose bounds are too wide to prove anything
import { defineModel, dense, ffn, lowRank, quantized, softmax } from "hirec";

const base = {
  inputs: 64,
  hidden: 100,
  weights: { gate: "g", up: "u", down: "d" },
  activation: (z: number) => Math.max(z, 0),
  estimator: quantized({ bits: 4 }),
  k: 2,
} as const;

export default defineModel("ffn-rules", {
  more_than_groups: ffn({ ...base, k: 14 }),
  fewer_candidates: ffn({ ...base, k: 4, candidates: 3 }),
  many_candidates: ffn({ ...base, candidates: 14 }),
  beside_common: ffn({ ...base, k: 5, common: 9 }),
  no_share: ffn({ ...base, k: 1.5 }),
  negative_share: ffn({ ...base, candidates: -0.1 }),
  all_common: ffn({ ...base, common: 13 }),
  large_group: ffn({ ...base, group: { size: 65 } }),
  other_score: ffn({ ...base, group: { score: "mean" as never } }),
  unknown_in_group: ffn({ ...base, group: { width: 8 } as never }),
  gate_without: ffn({ ...base, gated: false }),
  no_down: ffn({ ...base, weights: { gate: "g", up: "u" } as never }),
  unknown_weight: ffn({ ...base, weights: { gate: "g", up: "u", down: "d", side: "s" } as never }),
  weights_text: ffn({ ...base, weights: "mlp" as never }),
  of_dense: ffn({ ...base, estimator: dense(), candidates: 4 }),
  rank_above: ffn({ ...base, estimator: lowRank({ rank: 65, bits: 8 }) }),
  crossing: ffn({ ...base, crossover: "never" as never }),
  bits_of_rank: softmax({ inputs: 64, rows: 256, weight: "w", k: 4, estimator: lowRank({ rank: 8, bits: 5 as never }) }),
  integer_halves: softmax({
    inputs: 64,
    rows: 256,
    weight: "w",
    k: 4,
    estimator: lowRank({ rank: 8, bits: 16, activations: "int8" }),
  }),
  no_rank: softmax({ inputs: 64, rows: 256, weight: "w", k: 4, estimator: lowRank({ bits: 8 } as never) }),
  certified_rank: softmax({
    inputs: 64,
    rows: 256,
    weight: "w",
    k: 4,
    estimator: lowRank({ rank: 8, bits: 8 }),
    certify: "report",
  }),
});
