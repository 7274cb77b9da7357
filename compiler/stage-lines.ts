// Where the stages of a kernel stand in its source.

import type { KernelPlan } from "../runtime/plan.ts";

/** Lines of a source, counted from 1, both included. */
export interface LineRange {
  readonly first: number;
  readonly last: number;
}

/**
 * Of each stage of a kernel, the lines of its entry point that do it. Functions that it calls come behind, and belong to none.
 * A kernel of one stage does it in all of its entry point; otherwise each stage begins at a comment that names it, which the
 * templates write, and ends where the next begins.
 */
export function stageLines({ name, stages }: KernelPlan, source: string): ReadonlyMap<string, LineRange> {
  const lines = source.split("\n");
  const entry = lines.findIndex((line) => line.startsWith(`fn ${name}(`) || line.endsWith(` ${name}(`));
  const end = lines.indexOf("}", entry);
  const begins = stages.length === 1 ? [entry] : stages.map((stage) => lines.findIndex((line) => names(line, stage)));
  return new Map(
    stages.map((stage, i) => [
      stage,
      { first: begins[i]! + 1, last: i + 1 < begins.length ? begins[i + 1]! : end + 1 },
    ]),
  );
}

function names(line: string, stage: string): boolean {
  return line.trimStart() === `// Stage: ${stage}.`;
}
