// expect HIRE-SPEC-012 at 1:1: `k` (257) is larger than `rows` (256)
import { defineModel, dense, softmax } from "hirec";

const sizes = [{ inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 257 }];
const [head] = sizes.map(softmax);

export default defineModel("written-as-callback", { head: head! });
