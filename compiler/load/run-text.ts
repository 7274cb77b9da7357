// Runs the text of a spec that imports the language and nothing else, where there are no files and no bundler: in a page.

import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { ts } from "ts-morph";
import * as language from "../../dsl/index.ts";
import { type Diagnostic, HireError, type SourceSpan } from "../../runtime/errors.ts";
import { LANGUAGE_MODULE, type NumberedSpec, numberSpec } from "./spec-text.ts";
import { type RunningPlace, specThrew } from "./spec-threw.ts";

/** A function made of text, in which `await` may stand. */
const AsyncFunction = (async () => {}).constructor as new (
  ...texts: string[]
) => (require: (name: string) => unknown, exports: object) => Promise<void>;

/**
 * @param path how problems name the text.
 * @throws HireError HIRE-SPEC-002 syntax, -004 the spec threw, -007 a property given twice, -018 an import of anything but the
 * language.
 */
export async function runText(path: string, text: string): Promise<NumberedSpec & { readonly value: unknown }> {
  const numbered = numberSpec(path, text, { site: 0, function: 0 });
  const problems = [...numbered.problems, ...(numbered.problems.length === 0 ? foreignImports(path, text) : [])];
  if (problems.length > 0) throw new HireError(problems);
  const { outputText, sourceMapText } = ts.transpileModule(numbered.code, {
    fileName: path,
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, sourceMap: true },
  });
  const exports: { default?: unknown } = {};
  try {
    const run = new AsyncFunction("require", "exports", `${outputText}\n//# sourceURL=${RUNNING}`);
    await run(() => language, exports);
  } catch (thrown) {
    const maps = [sourceMapText!, ...(numbered.map ? [numbered.map.toString()] : [])];
    throw specThrew(thrown, path, FRAMES, (place) => originOf(place, maps, path));
  }
  return { ...numbered, value: exports.default };
}

/** How stacks name the text while it runs. */
const RUNNING = "hirec-running-spec";
const FRAMES = new RegExp(`${RUNNING}:(\\d+):(\\d+)`, "g");

/** Lines that the head of a function made of text takes (ECMA-262 §20.2.1.1.1). */
const HEAD_LINES = 2;

/** @param maps from what runs back to the text. */
function originOf(running: RunningPlace, maps: readonly string[], file: string): SourceSpan | undefined {
  let place = { line: running.line - HEAD_LINES, column: running.column };
  for (const map of maps) {
    const found = place.line > 0 ? originalPositionFor(new TraceMap(map), place) : undefined;
    if (!found || found.line === null) return undefined;
    place = found;
  }
  return { file, line: place.line, column: place.column + 1, length: 1 };
}

function foreignImports(path: string, text: string): Diagnostic[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023);
  return ts
    .preProcessFile(text, true, true)
    .importedFiles.filter(({ fileName }) => fileName !== LANGUAGE_MODULE)
    .map(({ fileName, pos, end }) => {
      const { line, character } = source.getLineAndCharacterOfPosition(pos);
      return {
        code: "HIRE-SPEC-018",
        message: `"${fileName}" cannot be imported here: there is one file, and "${LANGUAGE_MODULE}"`,
        fix: "Write its contents into this file, or compile with the command line",
        span: { file: path, line: line + 1, column: character + 1, length: end - pos },
      };
    });
}
