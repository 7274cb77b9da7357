// A spec that ended with an error of its own.

import { HireError, reasonOf, type SourceSpan } from "../../runtime/errors.ts";

/** A place in what runs; lines count from 1, columns from 0, as maps have them. */
export interface RunningPlace {
  readonly line: number;
  readonly column: number;
}

/**
 * HIRE-SPEC-004, at the innermost frame of the stack that leads back to a text of the user's.
 * @param frames matches the frames of what runs, with line and column.
 * @param originOf where such a frame was written; undefined where it was not written by the user.
 */
export function specThrew(
  thrown: unknown,
  path: string,
  frames: RegExp,
  originOf: (place: RunningPlace) => SourceSpan | undefined,
): HireError {
  const stack = thrown instanceof Error ? (thrown.stack ?? "") : "";
  const span = [...stack.matchAll(frames)]
    .map(([, line, column]) => originOf({ line: Number(line), column: Number(column) - 1 }))
    .find((origin) => origin !== undefined);
  return new HireError(
    {
      code: "HIRE-SPEC-004",
      message: `The spec threw: ${reasonOf(thrown)}`,
      fix: "A spec is a program that runs to its end before anything is compiled; mend what it throws",
      span: span ?? { file: path, line: 1, column: 1, length: 1 },
    },
    { cause: thrown },
  );
}
