// What a spec has to export.

import type { Model } from "../../dsl/index.ts";
import { HireError } from "../../runtime/errors.ts";
import { defaultExportSpan } from "./spec-text.ts";

/** Whether a value was made by `defineModel`. */
export function isModel(value: unknown): value is Model {
  const { kind, options } = (value ?? {}) as Partial<Model>;
  return kind === "model" && typeof options === "object" && options !== null;
}

/** HIRE-SPEC-005, for a spec that exports something else or nothing. */
export function notAModel(path: string, text: string): HireError {
  const exported = defaultExportSpan(path, text);
  return new HireError({
    code: "HIRE-SPEC-005",
    message: exported ? "The spec's default export is not made by defineModel" : "The spec has no default export",
    fix: "End the spec with: export default defineModel(name, layers)",
    span: exported ?? { file: path, line: 1, column: 1, length: 1 },
  });
}
