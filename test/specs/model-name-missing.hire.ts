// expect HIRE-SPEC-006 at 6:15: undefined cannot name a model
// expect HIRE-SPEC-017 at 6:15: The model has no layers
import { defineModel } from "hirec";

// @ts-expect-error both arguments are missing
const model = defineModel();
export default model;
