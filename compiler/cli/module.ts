// MODULE on the command line: a compiled folder, or a spec that is compiled in memory.

import { stat } from "node:fs/promises";
import type { CompiledCuda } from "../../runtime/cuda/model.ts";
import type { Diagnostic } from "../../runtime/errors.ts";
import { readCompiledFolder } from "../../runtime/node/compiled-folder.ts";
import type { RunDevice } from "../../runtime/node/open-layers.ts";
import type { Target } from "../../runtime/plan.ts";

/** What a spec is compiled to in memory, by the device that it is to run on. */
export const TARGETS: Readonly<Record<RunDevice, readonly Target[]>> = {
  auto: ["wgsl", "cuda"],
  cuda: ["cuda"],
  webgpu: ["wgsl"],
  software: ["wgsl"],
  reference: ["wgsl"],
};

/**
 * @param targets what a spec is compiled to; a folder has what it has.
 * @throws HireError of the families HIRE-SPEC and HIRE-PLAN.
 */
export async function openModule(
  path: string,
  targets?: readonly Target[],
): Promise<CompiledCuda & { readonly warnings?: readonly Diagnostic[] }> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (isFolder) return readCompiledFolder(path);
  // Loading the compiler takes most of a second, and a compiled folder does not need it.
  const { compile } = await import("../index.ts");
  const { plan, files, warnings } = await compile(path, targets && { targets });
  return { plan, sources: Object.fromEntries(files), warnings };
}
