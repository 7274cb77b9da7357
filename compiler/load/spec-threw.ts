// A spec that ended with an error of its own.

import { HireError, reasonOf, type SourceSpan } from "../../runtime/errors.ts";

/** HIRE-SPEC-004. @param span where it was thrown, if that is known. */
export function specThrew(thrown: unknown, path: string, span?: SourceSpan): HireError {
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
