// expect HIRE-SPEC-010 at 6:49: `rows` must be a whole number from 1 to 16777216, not 0
import { defineModel, dense, type Layer, softmax } from "hirec";

const layers: Record<string, Layer> = {};
for (const rows of [256, 0]) {
  layers[`rows${rows}`] = softmax({ inputs: 64, rows, weight: "head", estimator: dense(), k: 4 });
}

export default defineModel("written-in-a-loop", layers);
