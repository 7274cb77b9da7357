// The worker's side of a worker that answers one request at a time, see call.ts.

import { type Diagnostic, HireError, reasonOf } from "../../runtime/errors.ts";
import type { Answer, Progress } from "./call.ts";

export type OnProgress = (progress: Progress) => void;

export function serve<Request, Result>(work: (request: Request, onProgress: OnProgress) => Promise<Result>): void {
  const answer = (message: Answer<Result>) => postMessage(message);
  addEventListener("message", async ({ data }: MessageEvent<Request>) => {
    try {
      answer({ result: await work(data, (progress) => answer({ progress })) });
    } catch (thrown) {
      answer({ problems: problemsOf(thrown) });
    }
  });
}

function problemsOf(thrown: unknown): readonly Diagnostic[] {
  if (thrown instanceof HireError) return thrown.diagnostics;
  // ECMA-262 §25.1.3.1: what cannot be allocated is a RangeError.
  if (thrown instanceof RangeError && /alloc|array length|array buffer/i.test(thrown.message)) {
    return [
      {
        code: "HIRE-RUN-025",
        message: `The page has no memory left: ${thrown.message}`,
        fix: "Lower the rows or inputs of the layer in the spec, or close other pages",
      },
    ];
  }
  return [{ code: "", message: reasonOf(thrown), fix: "This is a bug in hirec; please report it with the spec" }];
}
