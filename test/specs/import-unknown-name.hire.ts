// expect HIRE-SPEC-018 at 3:23: "hirec" has no export "sparse"
// expect HIRE-SPEC-018 at 4:10: "imported/throws.ts" has no export "columnsOf"
import { defineModel, sparse } from "hirec";
import { columnsOf } from "./imported/throws.ts";

export default defineModel("import-unknown-name", { head: sparse(columnsOf("small")) });
