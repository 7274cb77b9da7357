// expect HIRE-SPEC-010 at 22:36: `shards` must be a whole number from 1 to 1024, not 0
// expect HIRE-SPEC-014 at 23:38: `shards` cannot be "four"
// expect HIRE-SPEC-010 at 24:53: `count` must be a whole number from 1 to 1024, not 1.5
// expect HIRE-SPEC-009 at 25:40: `shards` of softmax needs `count`
// expect HIRE-SPEC-008 at 26:51: `shards` of softmax has no property "size"
// expect HIRE-SPEC-013 at 27:61: `layout` cannot be "random"
// expect HIRE-SPEC-010 at 28:63: `slack` must be a number from 1 on, or { recall } above 0 and at most 1, not 0.5
// expect HIRE-SPEC-010 at 29:66: `exchange` must be a number of rows, or { resend } from 0 to below 1, not a plain object
// expect HIRE-SPEC-015 at 30:46: `exchange` has no meaning in a feed-forward, whose shards exchange sums alone
// expect HIRE-SPEC-028 at 31:43: `logSumExp` cannot be added up over shards yet
// expect HIRE-SPEC-028 at 32:13: Layer "of_three" has 3 shards, and "unknown" has 4
// expect HIRE-SPEC-006 at 33:3: "of_three_shard0" is the name of a shard of layer "of_three"
import { defineModel, ffn, quantized, softmax } from "hirec";

const head = { inputs: 8, rows: 64, weight: "w", k: 4, estimator: quantized({ bits: 4 }) } as const;
const mlp = {
  ...{ inputs: 8, hidden: 64, weights: { gate: "g", up: "u", down: "d" }, k: 2, estimator: head.estimator },
  activation: (z: number) => Math.max(z, 0),
};

export default defineModel("shards", {
  none: softmax({ ...head, shards: 0 }),
  a_text: softmax({ ...head, shards: "four" as never }),
  half_a_shard: softmax({ ...head, shards: { count: 1.5 } }),
  no_count: softmax({ ...head, shards: {} as never }),
  unknown: softmax({ ...head, shards: { count: 4, size: 2 } as never }),
  at_random: softmax({ ...head, shards: { count: 4, layout: "random" as never } }),
  little_slack: softmax({ ...head, shards: { count: 4, slack: 0.5 } }),
  always_again: softmax({ ...head, shards: { count: 4, exchange: { resend: 1 } } }),
  of_sums: ffn({ ...mlp, shards: { count: 4, exchange: 3 } }),
  added_up: softmax({ ...head, shards: 4, logSumExp: true }),
  of_three: softmax({ ...head, shards: 3 }),
  of_three_shard0: softmax(head),
});
