// The problems of a spec as the errors that bundlers show.

import { codeFrame, formatDiagnostic, painter } from "../cli/report.ts";
import type { Diagnostic, HireError } from "../index.ts";

/**
 * In the form of Rollup's logs, for which Vite's overlay has a place each: message, file, code frame. Columns count from 0
 * there. Others show the message alone, which then says everything. The stack of a mistake in a spec says nothing of it.
 */
export function bundlerError({ diagnostics }: HireError, likeRollup: boolean): Error {
  const [first, ...others] = diagnostics;
  const { code, message, fix, span } = first!;
  const inWords = (each: readonly Diagnostic[]) => each.map((one) => formatDiagnostic(one, false)).join("\n\n");
  if (!likeRollup || !span) return withoutStack(new Error(inWords(diagnostics)));
  const said = `${code}: ${message}\n  fix: ${fix}\n  see docs/diagnostics/${code}.md`;
  const { file, line, column } = span;
  return Object.assign(withoutStack(new Error([said, inWords(others)].filter(Boolean).join("\n\n"))), {
    id: file,
    loc: { file, line, column: column - 1 },
    // Without the column of marks: Vite trims the first line.
    frame: codeFrame(span, painter(false))
      .slice(1)
      .map((each) => each.slice(4))
      .join("\n"),
  });
}

function withoutStack(error: Error): Error {
  error.stack = "";
  return error;
}
