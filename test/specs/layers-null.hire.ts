// expect HIRE-SPEC-017 at 4:43: Layers must be an object, not null
import { defineModel } from "hirec";

export default defineModel("layers-null", null);
