// What TypeScript objects to in files of a project, as problems of a spec.

import { type CompilerOptions, type Project, ts } from "ts-morph";
import type { Diagnostic } from "../../runtime/errors.ts";
import { LANGUAGE_MODULE } from "./spec-text.ts";

/** @param language path of the file that holds the language's types. */
export function typeOptions(language: string): CompilerOptions {
  return {
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
    paths: { [LANGUAGE_MODULE]: [language] },
  };
}

/**
 * Complaints that come from checking with the language's own library only: names and modules of Node, the DOM or packages
 * without types. Whether those exist is found out by bundling and running the spec.
 */
const NOT_OURS = new Set([2307, 2580, 2581, 2582, 2583, 2584, 2591, 2592, 2593, 7016]);

/** @returns a HIRE-SPEC-003 for every type error in files of the project, at its place. */
export function typeProblems(project: Project, files: readonly string[]): Diagnostic[] {
  const program = project.getProgram().compilerObject;
  return files.flatMap((file) =>
    program
      .getSemanticDiagnostics(program.getSourceFile(file))
      .filter(({ code, category }) => category === ts.DiagnosticCategory.Error && !NOT_OURS.has(code))
      .map(toDiagnostic),
  );
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
