// A compiled model as `hirec compile` writes it: a folder with plan.json, the kernels' sources, and maybe images of them.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { imagesOf } from "../cuda/compiled-images.ts";
import type { CompiledCuda } from "../cuda/model.ts";
import { HireError, reasonOf } from "../errors.ts";
import { asPlan, kernelsOf } from "../plan.ts";

/**
 * @throws HireError HIRE-PLAN-005 for a plan of another version, HIRE-PLAN-008 when a file is missing or is no plan.
 */
export async function readCompiledFolder(folder: string): Promise<CompiledCuda> {
  const path = join(folder, "plan.json");
  const text = await readText(path);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (thrown) {
    throw unreadable(path, reasonOf(thrown));
  }
  const plan = asPlan(json, path);
  const files = kernelsOf(plan).map(({ kernel }) => kernel.file);
  const sources = await Promise.all(files.map(async (file) => [file, await readText(join(folder, file))] as const));
  return { plan, sources: Object.fromEntries(sources), images: imagesOf(folder) };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    throw unreadable(path, reasonOf(thrown));
  }
}

function unreadable(path: string, why: string): HireError {
  return new HireError({
    code: "HIRE-PLAN-008",
    message: `${path} cannot be read as part of a compiled model: ${why}`,
    fix: "Name a folder that `hirec compile` wrote, or a spec; compile again if files are missing",
  });
}
