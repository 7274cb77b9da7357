// expect HIRE-SPEC-003 at 4:7: Type 'number' is not assignable to type 'string' (TS2322)
import { defineModel, dense, softmax } from "hirec";

const weight: string = 7;

export default defineModel("type-error-alone", {
  head: softmax({ inputs: 64, rows: 1000, weight: `head${weight}`, estimator: dense(), k: 4 }),
});
