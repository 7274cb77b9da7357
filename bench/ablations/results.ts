// What a file of results holds.

import type { Study } from "./models.ts";

export interface Results extends Study {
  readonly date: string;
  readonly command: string;
  readonly machine: string;
  readonly versions: { readonly hirec: string; readonly node: string; readonly products: string };
  /** Of the run, which shared its machine with other jobs. */
  readonly seconds: number;
  readonly peakBytes: number;
}
