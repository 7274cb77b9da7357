// expect HIRE-SPEC-010 at 18:77: `expected` must be from `candidates` (16) to 256, not 15
// expect HIRE-SPEC-010 at 19:75: `expected` must be from `candidates` (16) to 256, not 257
// expect HIRE-SPEC-010 at 20:71: `expected` must be a whole number from 1 to 16777216, not 0.5
// expect HIRE-SPEC-008 at 21:53: statistical has no property "recall"
// expect HIRE-SPEC-015 at 22:56: `certify` has no meaning with statistical(), which does not know what it drops
// expect HIRE-SPEC-015 at 23:46: `gate` has no meaning where `gated` is false
// expect HIRE-SPEC-014 at 24:39: `bias` cannot be "b"
// expect HIRE-SPEC-008 at 25:39: `bias` of ffn has no property "side"
// expect HIRE-SPEC-016 at 26:44: `up` must be the name of a tensor, not 4
import { defineModel, ffn, quantized, softmax, statistical } from "hirec";

const head = { inputs: 64, rows: 256, weight: "w", estimator: quantized({ bits: 4 }), k: 4 } as const;
const weights = { up: "u", down: "d" };
const neurons = { inputs: 64, hidden: 256, weights, activation: (z: number) => z, estimator: head.estimator, k: 4 };
const plain = { ...neurons, gated: false } as const;

export default defineModel("statistical", {
  fewer_than_candidates: softmax({ ...head, select: statistical({ expected: 15 }) }),
  more_than_there_are: softmax({ ...head, select: statistical({ expected: 257 }) }),
  no_whole_number: softmax({ ...head, select: statistical({ expected: 0.5 }) }),
  another: softmax({ ...head, select: statistical({ recall: 0.9 } as never) }),
  certified: softmax({ ...head, select: statistical(), certify: "report" }),
  gate_without_gate: ffn({ ...plain, bias: { gate: "g" } }),
  bias_of_head: ffn({ ...plain, bias: "b" as never }),
  bias_aside: ffn({ ...plain, bias: { side: "s" } as never }),
  bias_number: ffn({ ...plain, bias: { up: 4 as never } }),
});
