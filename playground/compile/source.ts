// What was compiled last, for all parts of the page that show it.

export interface CompiledSource<Compiled> {
  /** Calls the listener with what is compiled from now on, and with what is there already. */
  onCompiled(listener: (compiled: Compiled) => void): void;
}

export function createSource<Compiled>(): CompiledSource<Compiled> & { set(compiled: Compiled): void } {
  const listeners: ((compiled: Compiled) => void)[] = [];
  let last: Compiled | undefined;
  return {
    set(compiled) {
      last = compiled;
      for (const listener of listeners) listener(compiled);
    },
    onCompiled(listener) {
      listeners.push(listener);
      if (last) listener(last);
    },
  };
}
