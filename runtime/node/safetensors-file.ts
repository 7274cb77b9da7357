// safetensors files on disk: tensors are read one by one, and a written file appears whole or not at all.

import { type FileHandle, open } from "node:fs/promises";
import { HireError, reasonOf } from "../errors.ts";
import {
  encodeHeader,
  headerLength,
  PREFIX_BYTES,
  parseHeader,
  type SafetensorsHeader,
  type TensorInfo,
  type TensorToWrite,
  tensorBytes,
} from "../safetensors.ts";
import { writeWhole } from "./write-whole.ts";

/** `read` and `write` of Node take at most 2 GiB at once. */
const CHUNK_BYTES = 1 << 28;

/** An open safetensors file; only the header is in memory. */
export interface SafetensorsFile extends SafetensorsHeader {
  readonly path: string;
  /** All bytes of one tensor, as they lie in the file. @throws HireError HIRE-PACK-001. */
  read(tensor: TensorInfo): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/**
 * Opens a safetensors file and checks its header.
 * @throws HireError HIRE-PACK-001 when it cannot be read, HIRE-PACK-002 when it is not a whole safetensors file.
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    const { size } = await handle.stat();
    const prefix = await readRange(handle, 0, Math.min(size, PREFIX_BYTES));
    const json = await readRange(handle, PREFIX_BYTES, PREFIX_BYTES + headerLength(prefix, size, path));
    const opened = handle;
    return {
      path,
      ...parseHeader(json, size, path),
      read: (tensor) =>
        readRange(opened, tensor.begin, tensor.end).catch((thrown) => {
          throw unreadable(path, thrown);
        }),
      close: () => opened.close(),
    };
  } catch (thrown) {
    await handle?.close();
    throw thrown instanceof HireError ? thrown : unreadable(path, thrown);
  }
}

function unreadable(path: string, thrown: unknown): HireError {
  return new HireError(
    {
      code: "HIRE-PACK-001",
      message: `${path} cannot be read: ${reasonOf(thrown)}`,
      fix: "Check the path and its permissions",
    },
    { cause: thrown },
  );
}

/** A tensor with the bytes to write, made only when its turn comes. */
export interface TensorSource extends TensorToWrite {
  bytes(): Promise<Uint8Array> | Uint8Array;
}

/**
 * Writes one safetensors file, tensor by tensor, so that memory holds one at a time.
 * @throws HireError `code` when the place cannot be written; nothing is left behind then.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>>,
  code: "HIRE-PACK-008" | "HIRE-RUN-009",
): Promise<void> {
  await writeWhole(path, code, async (handle) => {
    await writeAll(handle, encodeHeader(tensors, metadata));
    await writeTensors(handle, tensors);
  });
}

/**
 * Writes the data of a safetensors file, behind its header.
 * @param onBytes is given all bytes, in order.
 */
export async function writeTensors(
  handle: FileHandle,
  tensors: readonly TensorSource[],
  onBytes?: (bytes: Uint8Array) => void,
): Promise<void> {
  for (const tensor of tensors) {
    const bytes = await tensor.bytes();
    if (bytes.byteLength !== tensorBytes(tensor)) {
      throw new Error(`tensor ${tensor.name} has ${bytes.byteLength} bytes, not ${tensorBytes(tensor)}`);
    }
    onBytes?.(bytes);
    await writeAll(handle, bytes);
  }
}

async function readRange(handle: FileHandle, begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(end - begin);
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(CHUNK_BYTES, bytes.byteLength - done);
    const { bytesRead } = await handle.read(bytes, done, length, begin + done);
    if (bytesRead === 0) throw new Error(`it ends at byte ${begin + done}`);
    done += bytesRead;
  }
  return bytes;
}

/** @param position of the first byte in the file; without it, behind what was written last. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, position?: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(CHUNK_BYTES, bytes.byteLength - done);
    const at = position === undefined ? null : position + done;
    done += (await handle.write(bytes, done, length, at)).bytesWritten;
  }
}
