// expect HIRE-SPEC-004 at imported/throws.ts:6:33: The spec threw: no model is called tiny
import { defineModel, dense, softmax } from "hirec";
import { rowsOf } from "./imported/throws.ts";

export default defineModel("throws-imported", {
  head: softmax({ inputs: 64, rows: rowsOf("tiny"), weight: "head", estimator: dense(), k: 4 }),
});
