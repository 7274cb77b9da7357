// expect HIRE-SPEC-002 at imported/syntax-error.ts:1:31: This is not valid TypeScript: Expression expected
import { defineModel } from "hirec";
import { layers } from "./imported/syntax-error.ts";

export default defineModel("broken-import", layers);
