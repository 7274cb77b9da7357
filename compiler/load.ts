// Pass 1. A spec file becomes the value it exports and a map from that value's parts to the places they were written.

import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { Model } from "../dsl/index.ts";
import { HireError, reasonOf } from "../runtime/errors.ts";
import type { FunctionSyntax } from "./load/functions.ts";
import { isModel, notAModel } from "./load/model-value.ts";
import { type FileTexts, runSpec } from "./load/run-spec.ts";
import type { CallSite } from "./load/spec-text.ts";

/** A model as its spec exports it, unchecked, with the places of its parts. */
export interface LoadedSpec {
  /** Absolute path. */
  readonly path: string;
  readonly model: Model;
  readonly sites: readonly CallSite[];
  /** The functions of the spec's text, by their numbers. */
  readonly functions: readonly FunctionSyntax[];
  /** Absolute paths of the spec and of every file of the user's that it imports. */
  readonly files: readonly string[];
}

/**
 * @param onInput called with the absolute path of the spec and of each file that it imports, before it is read.
 * @param texts what files are taken to hold instead, by absolute path.
 * @throws HireError HIRE-SPEC-001 to -005, -007 and -018, see docs/diagnostics.
 */
export async function load(specPath: string, onInput?: (path: string) => void, texts?: FileTexts): Promise<LoadedSpec> {
  const path = resolve(specPath);
  onInput?.(path);
  await requireFile(path, specPath);
  const { value, sites, functions, files } = await runSpec(path, onInput, texts);
  if (isModel(value)) return { path, model: value, sites, functions, files };
  throw notAModel(path, await readFile(path, "utf8"));
}

async function requireFile(path: string, specPath: string): Promise<void> {
  const refuse = (message: string, fix: string, cause?: unknown) =>
    new HireError({ code: "HIRE-SPEC-001", message, fix }, { cause });
  const found = await stat(path).catch((thrown) => {
    throw refuse(`There is no spec at ${specPath}: ${reasonOf(thrown)}`, "Check the path of the spec", thrown);
  });
  if (found.isDirectory()) throw refuse(`${specPath} is a directory, not a spec`, "Name the spec file in it");
  if (!/\.[cm]?[jt]sx?$/.test(path)) {
    throw refuse(`${specPath} is not a TypeScript file`, "Name a spec, such as tiny-lm.hire.ts");
  }
}
