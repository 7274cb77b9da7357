// expect HIRE-SPEC-017 at 4:48: The model has no layers
import { defineModel } from "hirec";

export default defineModel("layers-undefined", undefined);
