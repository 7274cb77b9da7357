// expect HIRE-SPEC-018 at 4:24: Could not resolve "./nowhere.ts"
// expect HIRE-SPEC-018 at 5:23: Could not resolve "no-such-package-of-ours"
import { defineModel } from "hirec";
import { layers } from "./nowhere.ts";
import { sizes } from "no-such-package-of-ours";

export default defineModel("import-unresolved", layers(sizes));
