// Files that appear whole or not at all: written beside their place under another name, then renamed.

import { type FileHandle, mkdir, open, rename, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { HireError, reasonOf } from "../errors.ts";

/**
 * Calls `write` with an open temporary file and renames it to `path` when that ends well.
 * @throws HireError `code` when the folder or disk refuses; the temporary file and the folders that were made for it are
 * removed then. What `write` throws of its own passes through.
 */
export async function writeWhole(
  path: string,
  code: string,
  write: (handle: FileHandle) => Promise<void>,
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  let handle: FileHandle | undefined;
  let made: string | undefined;
  try {
    await refuseOtherThanFile(path, code);
    made = await mkdir(dirname(path), { recursive: true });
    handle = await open(temporary, "w");
    await write(handle);
    await handle.close();
    handle = undefined;
    await rename(temporary, path);
  } catch (thrown) {
    await handle?.close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
    if (made !== undefined) await removeEmptyFolders(dirname(path), made);
    throw isRefusedBySystem(thrown) ? unwritable(path, code, reasonOf(thrown), thrown) : thrown;
  }
}

/**
 * Refuses to replace a file that is read, which would be lost.
 * @throws HireError `code`.
 */
export async function refuseToReplace(path: string, sources: readonly string[], code: string): Promise<void> {
  const identity = (file: string) =>
    stat(file).then(
      ({ dev, ino }) => `${dev} ${ino}`,
      () => undefined,
    );
  const target = await identity(path);
  for (const source of sources) {
    if (target !== undefined && target === (await identity(source))) {
      throw unwritable(path, code, `it is the same file as ${source}, which is read`);
    }
  }
}

/** Removes `folder` and what holds it, up to and with `last`, as far as they are empty. */
export async function removeEmptyFolders(folder: string, last: string): Promise<void> {
  let current = resolve(folder);
  const end = resolve(last);
  try {
    await rmdir(current);
    while (current !== end && current !== dirname(current)) {
      current = dirname(current);
      await rmdir(current);
    }
  } catch {
    // It holds something, and stays.
  }
}

/** A rename would put a file in the place of a device such as /dev/null. */
async function refuseOtherThanFile(path: string, code: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found || found.isFile()) return;
  throw unwritable(path, code, found.isDirectory() ? "it is a folder" : "it is not a regular file");
}

function isRefusedBySystem(thrown: unknown): boolean {
  return thrown instanceof Error && "syscall" in thrown;
}

function unwritable(path: string, code: string, why: string, cause?: unknown): HireError {
  return new HireError(
    {
      code,
      message: `${path} cannot be written: ${why}`,
      fix: "Choose a place that is writable, on a disk with room",
    },
    { cause },
  );
}
