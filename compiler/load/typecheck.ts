// The type checker over a spec and the files it imports.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Project } from "ts-morph";
import type { Diagnostic } from "../../runtime/errors.ts";
import { typeOptions, typeProblems } from "./type-problems.ts";

let project: Project | undefined;

/**
 * @param files absolute paths of the user's files.
 * @returns a HIRE-SPEC-003 for every type error, at its place.
 */
export function typecheck(files: readonly string[]): Diagnostic[] {
  project ??= createProject();
  const code = files.filter(isCode);
  for (const file of code) {
    const known = project.getSourceFile(file);
    if (known) known.refreshFromFileSystemSync();
    else project.addSourceFileAtPath(file);
  }
  return typeProblems(project, code);
}

/** Data that a spec imports has a type too, but cannot be wrong by itself. */
function isCode(file: string): boolean {
  return /\.[cm]?[jt]sx?$/.test(file);
}

function createProject(): Project {
  const types = ["../../dsl/index.d.ts", "../../dsl/index.ts"]
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find(existsSync)!;
  return new Project({ skipAddingFilesFromTsConfig: true, compilerOptions: typeOptions(types) });
}
