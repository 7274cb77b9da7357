// expect HIRE-SPEC-017 at 4:51: Layers must be an object, not an array
import { defineModel, dense, softmax } from "hirec";

export default defineModel("layers-array-of-one", [
  softmax({ inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 4 }),
]);
