// The parts that run layers, on a page of their own: for work on them, and for tests, which hand over compiled specs.

import { createSource } from "./compile/source.ts";
import { mountLive } from "./live/mount.ts";
import { type CompiledSpec, mountRun } from "./run/mount.ts";

const source = createSource<CompiledSpec>();
mountLive(document.querySelector<HTMLElement>("#live")!);
mountRun(document.querySelector<HTMLElement>("#run")!, source);

/** What a compiler would find; files as entries, since tests can hand over no maps. */
function giveCompiled({ plan, files }: { plan: CompiledSpec["plan"]; files: readonly [string, string][] }): void {
  source.set({ plan, files: new Map(files) });
}

Object.assign(globalThis, { giveCompiled });
