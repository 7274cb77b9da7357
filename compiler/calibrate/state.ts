// What a calibration has measured of a layer so far, in a file that is whole at any moment: an interrupted run goes on where it was, and
// the same run again is done at once. It is found by a hash of everything that decides the results.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { HireError } from "../../runtime/errors.ts";
import { cacheFolders } from "../../runtime/node/cache-folder.ts";
import { writeWhole } from "../../runtime/node/write-whole.ts";
import type { Known, MeasuredEstimator } from "./layer.ts";

type Stored = Readonly<Record<string, MeasuredEstimator>>;

export interface State extends Known {
  /** Where it lies; nothing where no folder can be written. */
  readonly path: string | undefined;
  /** Whether it held anything. */
  readonly resumed: boolean;
}

/** @param fresh forgets what was measured before. */
export async function openState(key: string, fresh: boolean): Promise<State> {
  const paths = cacheFolders().map((folder) => join(folder, "calibrate", `${key}.json`));
  let stored: Stored = {};
  let path: string | undefined = paths[0];
  if (!fresh) {
    for (const each of paths) {
      const found = await readFile(each, "utf8").then(parse, () => undefined);
      if (found) [stored, path] = [found, each];
    }
  }
  const resumed = Object.keys(stored).length > 0;
  return {
    path,
    resumed,
    get: (estimator) => stored[estimator],
    async set(estimator, measured) {
      stored = { ...stored, [estimator]: measured };
      const text = JSON.stringify(stored);
      for (const each of path === undefined ? [] : [path, ...paths]) {
        if (await written(each, text)) {
          path = each;
          return;
        }
      }
      // Without a place the results are only in memory.
      path = undefined;
    },
  };
}

async function written(path: string, text: string): Promise<boolean> {
  try {
    await writeWhole(path, "HIRE-CAL-006", (handle) => handle.writeFile(text));
    return true;
  } catch (thrown) {
    if (thrown instanceof HireError) return false;
    throw thrown;
  }
}

/** Nothing where the file is not whole, as after a crash of the machine. */
function parse(text: string): Stored | undefined {
  try {
    return JSON.parse(text) as Stored;
  } catch {
    return undefined;
  }
}

/** A hash of parts that decide the results: data as it is, anything else as JSON. */
export function hashOf(...parts: readonly (Uint8Array | object | string | number)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) {
    hash.update(part instanceof Uint8Array ? part : JSON.stringify(part));
    hash.update("\n");
  }
  return hash.digest("hex").slice(0, 32);
}
