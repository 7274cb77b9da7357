// expect HIRE-SPEC-005 at 7:10: The spec's default export is not made by defineModel
import { defineModel, dense, softmax } from "hirec";

const model = () =>
  defineModel("function", { head: softmax({ inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 4 }) });

export { model as default };
