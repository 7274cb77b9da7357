// The compiler in a worker of its own, so that the page stays responsive and a spec that never ends can be ended.

import { type CompileTextOptions, compileText } from "../../compiler/compile-text.ts";
import type { Diagnostic, HireError } from "../../runtime/errors.ts";
import type { Plan } from "../../runtime/plan.ts";

export interface CompileRequest {
  readonly id: number;
  readonly text: string;
  readonly options: CompileTextOptions;
}

export type CompileResponse =
  | { readonly id: number; readonly plan: Plan; readonly files: ReadonlyMap<string, string>; readonly ms: number }
  | { readonly id: number; readonly problems: readonly Diagnostic[]; readonly ms: number };

addEventListener("message", async ({ data: { id, text, options } }: MessageEvent<CompileRequest>) => {
  const start = performance.now();
  const respond = (response: object) => postMessage({ id, ms: performance.now() - start, ...response });
  try {
    const { plan, files } = await compileText(text, options);
    respond({ plan, files });
  } catch (thrown) {
    const { diagnostics } = thrown as HireError;
    if (!Array.isArray(diagnostics)) throw thrown;
    respond({ problems: diagnostics });
  }
});
