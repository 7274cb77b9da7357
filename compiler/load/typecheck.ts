// The type checker over a spec and the files it imports.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Project, ts } from "ts-morph";
import type { Diagnostic } from "../../runtime/errors.ts";
import { LANGUAGE_MODULE } from "./spec-text.ts";

/**
 * Complaints that come from checking with the language's own library only: names and modules of Node, the DOM or packages
 * without types. Whether those exist is found out by bundling and running the spec.
 */
const NOT_OURS = new Set([2307, 2580, 2581, 2582, 2583, 2584, 2591, 2592, 2593, 7016]);

let project: Project | undefined;

/**
 * @param files absolute paths of the user's files.
 * @returns a HIRE-SPEC-003 for every type error, at its place.
 */
export function typecheck(files: readonly string[]): Diagnostic[] {
  project ??= createProject();
  for (const file of files) {
    const known = project.getSourceFile(file);
    if (known) known.refreshFromFileSystemSync();
    else if (isCode(file)) project.addSourceFileAtPath(file);
  }
  const program = project.getProgram().compilerObject;
  return files.filter(isCode).flatMap((file) =>
    program
      .getSemanticDiagnostics(program.getSourceFile(file))
      .filter(({ code, category }) => category === ts.DiagnosticCategory.Error && !NOT_OURS.has(code))
      .map(toDiagnostic),
  );
}

/** Data that a spec imports has a type too, but cannot be wrong by itself. */
function isCode(file: string): boolean {
  return /\.[cm]?[jt]sx?$/.test(file);
}

function createProject(): Project {
  const types = ["../../dsl/index.d.ts", "../../dsl/index.ts"]
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find(existsSync)!;
  return new Project({
    skipAddingFilesFromTsConfig: true,
    compilerOptions: {
      strict: true,
      noEmit: true,
      target: ts.ScriptTarget.ES2023,
      // Without the DOM's library a check takes a third of a second instead of two.
      lib: ["lib.es2023.d.ts"],
      types: [],
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      allowImportingTsExtensions: true,
      allowJs: true,
      resolveJsonModule: true,
      skipLibCheck: true,
      paths: { [LANGUAGE_MODULE]: [types] },
    },
  });
}

function toDiagnostic({ file, start = 0, length = 1, messageText, code }: ts.Diagnostic): Diagnostic {
  const { line, character } = file!.getLineAndCharacterOfPosition(start);
  const message = ts.flattenDiagnosticMessageText(messageText, "\n").replace(/\.$/, "");
  return {
    code: "HIRE-SPEC-003",
    message: `${message} (TS${code})`,
    fix: "Make the types agree; an editor shows the same error",
    span: { file: file!.fileName, line: line + 1, column: character + 1, length },
  };
}
