// Files that appear whole or not at all: written beside their place under another name, then renamed.

import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { HireError, reasonOf } from "../errors.ts";

/**
 * Calls `write` with an open temporary file and renames it to `path` when that ends well.
 * @throws HireError `code` when the folder or disk refuses; the temporary file is removed then. Errors that are already
 * a HireError pass through.
 */
export async function writeWhole(
  path: string,
  code: string,
  write: (handle: FileHandle) => Promise<void>,
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  let handle: FileHandle | undefined;
  try {
    await mkdir(dirname(path), { recursive: true });
    handle = await open(temporary, "w");
    await write(handle);
    await handle.close();
    handle = undefined;
    await rename(temporary, path);
  } catch (thrown) {
    await handle?.close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
    if (thrown instanceof HireError) throw thrown;
    throw new HireError(
      {
        code,
        message: `${path} cannot be written: ${reasonOf(thrown)}`,
        fix: "Choose a folder that exists and is writable, on a disk with room",
      },
      { cause: thrown },
    );
  }
}
