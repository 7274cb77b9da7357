// expect HIRE-SPEC-003 at 10:7: Type 'number' is not assignable to type 'string' (TS2322)
// expect HIRE-SPEC-003 at 13:100: Expected 1 arguments, but got 2 (TS2554)
// expect HIRE-SPEC-003 at imported/type-error.ts:1:38: Type 'string' is not assignable to type 'number' (TS2322)
// expect HIRE-SPEC-003 at imported/type-error.ts:1:45: Type 'string' is not assignable to type 'number' (TS2322)
// expect HIRE-SPEC-003 at imported/type-error.ts:1:51: Type 'string' is not assignable to type 'number' (TS2322)
// expect HIRE-SPEC-003 at imported/type-error.ts:1:58: Type 'string' is not assignable to type 'number' (TS2322)
import { defineModel, dense, softmax } from "hirec";
import { vocabulary } from "./imported/type-error.ts";

const draft: string = 7;

export default defineModel("type-error", {
  head: softmax({ inputs: 64, rows: vocabulary.length, weight: "head", estimator: dense(), k: 4 }, draft),
});
