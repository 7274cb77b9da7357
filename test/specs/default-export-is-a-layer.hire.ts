// expect HIRE-SPEC-005 at 4:16: The spec's default export is not made by defineModel
import { dense, softmax } from "hirec";

export default softmax({ inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 4 });
