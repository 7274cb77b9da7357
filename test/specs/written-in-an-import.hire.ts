// expect HIRE-SPEC-012 at imported/head.ts:8:6: `k` (999) is larger than `rows` (256)
import { defineModel } from "hirec";
import { head } from "./imported/head.ts";

export default defineModel("written-in-an-import", { head });
