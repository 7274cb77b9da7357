// The parts that run layers, on a page of their own: for work on them, and for tests, which hand over compiled specs.

import { mountLive } from "./live/mount.ts";
import { type CompiledSpec, mountRun } from "./run/mount.ts";

mountLive(document.querySelector<HTMLElement>("#live")!);

const listeners = new Set<(compiled: CompiledSpec) => void>();

mountRun(document.querySelector<HTMLElement>("#run")!, {
  onCompiled: (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
});

/** What a compiler would find; files as entries, since tests can hand over no maps. */
function giveCompiled({ plan, files }: { plan: CompiledSpec["plan"]; files: readonly [string, string][] }): void {
  for (const listener of listeners) listener({ plan, files: new Map(files) });
}

Object.assign(globalThis, { giveCompiled });
