// expect HIRE-SPEC-017 at 4:44: Layers must be an object, not an array
import { defineModel } from "hirec";

export default defineModel("layers-array", []);
