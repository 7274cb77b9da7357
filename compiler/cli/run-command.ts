// The frame around every command: its result or its diagnostics go out in the asked-for form, and the process ends with
// the exit code that the documentation promises.

import { type Diagnostic, HireError } from "../../runtime/errors.ts";
import { EXIT, exitCodeOf, formatDiagnostic } from "./report.ts";

/** Options that every command has. */
export interface GlobalArguments {
  readonly json: boolean;
}

export interface CommandOutcome {
  /** What `--json` prints, beside `command` and `ok`; nothing for a command that has said everything already. */
  readonly result?: Readonly<Record<string, unknown>>;
  /** What people read. */
  readonly text?: string;
  readonly exitCode?: number;
  /** What was left out. They go to standard error, or with `--json` beside the result where there are some. */
  readonly warnings?: readonly Diagnostic[] | undefined;
}

export async function runCommand(command: string, json: boolean, work: () => Promise<CommandOutcome>): Promise<void> {
  try {
    const { result, text, exitCode = EXIT.ok, warnings = [] } = await work();
    const said = warnings.length > 0 && { warnings };
    const output = json ? result && JSON.stringify({ command, ok: true, ...result, ...said }) : text;
    if (!json && said) await printDiagnostics(warnings);
    if (output !== undefined) await print(process.stdout, output);
    exit(exitCode);
  } catch (thrown) {
    if (!(thrown instanceof HireError)) throw thrown;
    await reportProblems(command, json, thrown.diagnostics);
    exit(exitCodeOf(thrown.diagnostics));
  }
}

/**
 * Does the same for every spec, and reports the problems of all of them together.
 * @throws HireError when any spec has a problem.
 */
export async function forEachSpec<Result>(
  specs: readonly string[],
  work: (spec: string) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const problems: Diagnostic[] = [];
  for (const spec of specs) {
    try {
      results.push(await work(spec));
    } catch (thrown) {
      if (!(thrown instanceof HireError)) throw thrown;
      problems.push(...thrown.diagnostics);
    }
  }
  if (problems.length > 0) throw new HireError(problems);
  return results;
}

async function reportProblems(command: string, json: boolean, diagnostics: readonly Diagnostic[]): Promise<void> {
  if (json) {
    await print(process.stdout, JSON.stringify({ command, ok: false, diagnostics }));
    return;
  }
  await printDiagnostics(diagnostics);
}

export async function printDiagnostics(diagnostics: readonly Diagnostic[]): Promise<void> {
  await print(process.stderr, diagnostics.map((diagnostic) => formatDiagnostic(diagnostic)).join("\n\n"));
}

/** Ends when the text has gone out, so that the process may end then. */
export function print(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve) => stream.write(`${text}\n`, () => resolve()));
}

/** Dawn keeps the process alive as long as an instance exists, so the end is stated. */
function exit(code: number): void {
  process.exit(code);
}
