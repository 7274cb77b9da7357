// Pass 1. A spec file becomes the value it exports and a map from that value's parts to the places they were written.

import { access } from "node:fs/promises";
import { resolve } from "node:path";
import type { Model } from "../dsl/index.ts";
import { HireError, type SourceSpan } from "../runtime/errors.ts";
import { runSpec } from "./load/run-spec.ts";
import type { CallSite } from "./load/spec-text.ts";

/** A model as its spec exports it, unchecked, with the places of its parts. */
export interface LoadedSpec {
  /** Absolute path. */
  readonly path: string;
  readonly model: Model;
  readonly sites: readonly CallSite[];
  /** Absolute paths of the spec and of every file of the user's that it imports. */
  readonly files: readonly string[];
}

/**
 * @throws HireError HIRE-SPEC-001 to -005, -007 and -018, see docs/diagnostics.
 */
export async function load(specPath: string): Promise<LoadedSpec> {
  const path = resolve(specPath);
  try {
    await access(path);
  } catch (thrown) {
    throw new HireError(
      { code: "HIRE-SPEC-001", message: `There is no spec at ${specPath}`, fix: "Check the path of the spec" },
      { cause: thrown },
    );
  }
  const { value, sites, files } = await runSpec(path);
  if (!isModel(value)) {
    const start: SourceSpan = { file: path, line: 1, column: 1, length: 1 };
    throw new HireError({
      code: "HIRE-SPEC-005",
      message:
        value === undefined ? "The spec has no default export" : "The spec's default export is not made by defineModel",
      fix: "End the spec with: export default defineModel(name, layers)",
      span: start,
    });
  }
  return { path, model: value, sites, files };
}

/** Whether a value was made by `defineModel`. */
export function isModel(value: unknown): value is Model {
  return typeof value === "object" && value !== null && (value as Model).kind === "model";
}
