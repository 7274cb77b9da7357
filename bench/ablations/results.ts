// What a file of results holds.

import { readFile } from "node:fs/promises";
import type { ModelName, Study } from "./models.ts";

export interface Results extends Study {
  readonly date: string;
  readonly command: string;
  readonly machine: string;
  readonly versions: { readonly hirec: string; readonly node: string; readonly products: string };
  /** Of the run, which shared its machine with other jobs. */
  readonly seconds: number;
  readonly peakBytes: number;
}

/** What was measured last. */
export async function readResults(model: ModelName): Promise<Results> {
  return JSON.parse(await readFile(new URL(`../results/ablations-${model}.json`, import.meta.url), "utf8"));
}
