// The parts of the page that need a GPU, loaded behind everything else.

import type { CompiledSource } from "./compile/source.ts";
import { byId } from "./page/by-id.ts";

interface Mount {
  mountRun?(container: HTMLElement, source: CompiledSource): void;
  mountLive?(container: HTMLElement): void;
}

const parts = import.meta.glob<Mount>(["./run/mount.ts", "./live/mount.ts"]);

export async function mountDeviceParts(source: CompiledSource): Promise<void> {
  byId("no-webgpu").hidden = "gpu" in navigator;
  for (const load of Object.values(parts)) {
    const { mountRun, mountLive } = await load();
    mountRun?.(shown("run"), source);
    mountLive?.(shown("live"));
  }
}

function shown(id: string): HTMLElement {
  const section = byId(id);
  section.hidden = false;
  return section;
}
