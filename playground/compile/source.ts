// What was compiled last, for all parts of the page that show it.

import type { Compiled } from "./protocol.ts";

export interface CompiledSource {
  /** Calls the listener with what is compiled from now on, and with what is there already. @returns a function that ends it. */
  onCompiled(listener: (compiled: Compiled) => void): () => void;
}

export function createSource(): CompiledSource & { readonly set: (compiled: Compiled) => void } {
  const listeners = new Set<(compiled: Compiled) => void>();
  let last: Compiled | undefined;
  return {
    set(compiled) {
      last = compiled;
      for (const listener of listeners) listener(compiled);
    },
    onCompiled(listener) {
      listeners.add(listener);
      if (last) listener(last);
      return () => listeners.delete(listener);
    },
  };
}
