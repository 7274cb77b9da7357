// expect HIRE-SPEC-018 at 3:23: "hirec" has no export "lowRank"
// expect HIRE-SPEC-018 at 4:10: "imported/throws.ts" has no export "columnsOf"
import { defineModel, lowRank } from "hirec";
import { columnsOf } from "./imported/throws.ts";

export default defineModel("import-unknown-name", { head: lowRank(columnsOf("small")) });
