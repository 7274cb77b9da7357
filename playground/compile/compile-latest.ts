// Compiles what is typed: one text at a time, and of those that come meanwhile the last.

import type { Diagnostic } from "../../runtime/errors.ts";
import { type Compiler, Endless } from "./compiler.ts";
import type { Compiled } from "./protocol.ts";

export type Outcome =
  | { readonly compiled: Compiled; readonly ms: number }
  | { readonly problems: readonly Diagnostic[] }
  /** The spec did not end, or hirec has a bug. */
  | { readonly failure: string };

/** @returns a function that takes a text. @param done is told of each text that was compiled. */
export function compileLatest({ ask }: Compiler, done: (outcome: Outcome) => void): (text: string) => void {
  let busy = false;
  let waiting: string | undefined;

  async function compile(text: string): Promise<Outcome> {
    const start = performance.now();
    try {
      const answer = await ask("compile", text);
      return "plan" in answer ? { compiled: answer, ms: performance.now() - start } : { problems: answer };
    } catch (thrown) {
      if (thrown instanceof Endless) return { failure: `${thrown.message}, so it was ended` };
      return { failure: `hirec failed, which is a bug of hirec: ${(thrown as Error).message}` };
    }
  }

  return async (text) => {
    waiting = text;
    if (busy) return;
    busy = true;
    while (waiting !== undefined) {
      const next: string = waiting;
      waiting = undefined;
      const outcome = await compile(next);
      // Of a text that is outdated, nobody wants to read.
      if (waiting === undefined) done(outcome);
    }
    busy = false;
  };
}
