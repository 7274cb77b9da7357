// expect HIRE-SPEC-017 at 4:16: The model has no layers
import { defineModel } from "hirec";

export default defineModel("layers-missing");
