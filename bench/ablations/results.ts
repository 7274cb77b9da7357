// What a file of results holds.

import type { Study } from "./models.ts";

export interface Results extends Omit<Study, "engine"> {
  readonly date: string;
  readonly command: string;
  readonly machine: string;
  readonly versions: { readonly node: string; readonly products: string };
  /** Of the run, which shared its machine with other jobs. */
  readonly seconds: number;
  readonly peakBytes: number;
}
