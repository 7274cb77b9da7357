// The parts of the page that need a GPU, loaded behind everything else.

import type { Compiled } from "./compile/protocol.ts";
import type { CompiledSource } from "./compile/source.ts";
import { byId } from "./page/by-id.ts";

export async function mountDeviceParts(source: CompiledSource<Compiled>): Promise<void> {
  byId("no-webgpu").hidden = "gpu" in navigator;
  const [{ mountRun }, { mountLive }] = await Promise.all([import("./run/mount.ts"), import("./live/mount.ts")]);
  mountRun(byId("run"), source);
  mountLive(byId("live"));
}
