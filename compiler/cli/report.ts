// What a command says: diagnostics with code frames for people, or one JSON object for programs.

import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { styleText } from "node:util";
import type { Diagnostic, SourceSpan } from "../../runtime/errors.ts";

/** Exit codes, the same for every command. */
export const EXIT = { ok: 0, problem: 1, usage: 2, environment: 3, bug: 70 } as const;

/** Codes that mean: this machine lacks something; the input is fine. */
const ENVIRONMENT_CODES = new Set(["HIRE-RUN-001", "HIRE-RUN-007", "HIRE-RUN-011", "HIRE-RUN-014"]);

export function exitCodeOf(diagnostics: readonly Diagnostic[]): number {
  return diagnostics.every(({ code }) => ENVIRONMENT_CODES.has(code)) ? EXIT.environment : EXIT.problem;
}

/** One diagnostic as text: what, where with a code frame, and the fix. */
export function formatDiagnostic(diagnostic: Diagnostic, color = wantsColor(process.stderr)): string {
  const { severity = "error", code, message, fix, span } = diagnostic;
  const paint = painter(color);
  const hue = severity === "error" ? "red" : "yellow";
  const lines = [`${paint(["bold", hue], `${severity} ${code}`)}${paint("bold", `: ${message}`)}`];
  if (span) lines.push(...codeFrame(span, paint));
  lines.push(`  ${paint("cyan", "fix")}: ${fix}`, paint("dim", `  see docs/diagnostics/${code}.md`));
  return lines.join("\n");
}

function codeFrame(span: SourceSpan, paint: Paint): string[] {
  const { file, line, column, length } = span;
  const path = relative(process.cwd(), file);
  const place = `  ${paint("blue", "-->")} ${path.startsWith("..") ? file : path}:${line}:${column}`;
  let source: string[];
  try {
    source = readFileSync(file, "utf8").split(/\r?\n/);
  } catch {
    return [place];
  }
  const last = Math.min(source.length, line + 1);
  const width = String(last).length;
  const frame: string[] = [];
  for (let number = Math.max(1, line - 1); number <= last; number++) {
    const text = source[number - 1]!;
    const mark = number === line ? paint("red", ">") : " ";
    frame.push(`  ${mark} ${paint("dim", `${String(number).padStart(width)} |`)} ${text}`.trimEnd());
    if (number !== line) continue;
    // Tabs stay tabs, so that the marks stand below what they mark.
    const indent = text.slice(0, column - 1).replace(/[^\t]/g, " ");
    const marks = "^".repeat(Math.max(1, Math.min(length, text.length - column + 1)));
    frame.push(`    ${" ".repeat(width)} ${paint("dim", "|")} ${indent}${paint("red", marks)}`);
  }
  return [place, ...frame];
}

type Style = Parameters<typeof styleText>[0];
export type Paint = (style: Style, text: string) => string;

/** Styles text, or leaves it as it is. */
export function painter(color: boolean): Paint {
  // Node would look at standard output by itself, whatever stream the text is for.
  return (style, text) => (color ? styleText(style, text, { validateStream: false }) : text);
}

export function wantsColor(stream: NodeJS.WriteStream): boolean {
  return Boolean(stream.isTTY) && !process.env.NO_COLOR;
}
