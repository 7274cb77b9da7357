// Mesa's software driver, where the system has it: another WebGPU implementation below Dawn than SwiftShader, with
// subgroups of 8 instead of 4.

import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDERS = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

/**
 * The path of the driver's manifest; undefined where there is none, or none that Dawn takes: Mesa 25 is known to work and
 * 22 is too old. HIREC_LAVAPIPE names a manifest that lies elsewhere.
 */
export function findLavapipe(): string | undefined {
  const manifests = process.env.HIREC_LAVAPIPE ? [process.env.HIREC_LAVAPIPE] : FOLDERS.flatMap(lavapipesIn);
  return manifests.find(works);
}

function lavapipesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((file) => /^lvp_icd.*\.json$/.test(file))
      .map((file) => join(folder, file));
  } catch {
    return [];
  }
}

/** In a process of its own: a driver is chosen once per process. */
function works(manifest: string): boolean {
  try {
    execFileSync(process.execPath, [fileURLToPath(new URL("probe.mjs", import.meta.url)), manifest], {
      stdio: "ignore",
      timeout: 20_000,
    });
    return true;
  } catch {
    return false;
  }
}
