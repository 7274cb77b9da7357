// Errors as data: a stable code that has a page in docs/diagnostics/, what happened, where, and what mends it.

/** A place in a spec. Lines and columns count from 1; `length` is in UTF-16 units on that line. */
export interface SourceSpan {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly length: number;
}

export interface Diagnostic {
  /** Absent for an error. A warning is about something that was left out, and the work was done without it. */
  readonly severity?: "warning";
  /** `HIRE-SPEC-…`, `HIRE-PLAN-…`, `HIRE-PACK-…`, `HIRE-RUN-…`, `HIRE-CAL-…` or `HIRE-CLI-…`. */
  readonly code: string;
  /** What is wrong, as one sentence without a full stop. */
  readonly message: string;
  /** What the user does about it. */
  readonly fix: string;
  readonly span?: SourceSpan;
}

/** An error that a user of hirec can cause and mend. Anything else that is thrown is a bug in hirec. */
export class HireError extends Error {
  readonly diagnostics: readonly Diagnostic[];

  constructor(diagnostics: Diagnostic | readonly Diagnostic[], options?: ErrorOptions) {
    const list = Array.isArray(diagnostics) ? (diagnostics as readonly Diagnostic[]) : [diagnostics as Diagnostic];
    super(list.map((d) => `${d.code}: ${d.message}. ${d.fix}`).join("\n"), options);
    this.name = "HireError";
    this.diagnostics = list;
  }

  /** The code of the first diagnostic. */
  get code(): string {
    return this.diagnostics[0]?.code ?? "";
  }
}

/** Each problem once: a constant that two layers share is wrong once. */
export function withoutRepeats(problems: readonly Diagnostic[]): Diagnostic[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()];
}

/** What a device says over several lines, as one line without a full stop. */
export function onOneLine(text: string): string {
  const lines = text.split("\n").map((line) => line.trim().replace(/^- |\.$/g, ""));
  return lines.filter((line) => line !== "").join("; ");
}

/** The message of anything that was thrown. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
