// A pack on disk: its header says what every byte behind it is, and is written last.

import { createHash, type Hash } from "node:crypto";
import { blankHashes, CHUNK_BYTES, contentMetadata } from "../pack/content.ts";
import { encodeHeader, tensorBytes } from "../safetensors.ts";
import { type TensorSource, writeAll, writeTensors } from "./safetensors-file.ts";
import { writeWhole } from "./write-whole.ts";

/**
 * Writes a pack, tensor by tensor.
 * @returns its digest: the SHA-256 of its header, in hexadecimal.
 * @throws HireError HIRE-PACK-008 when the place cannot be written; nothing is left behind then.
 */
export async function writePack(
  path: string,
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>>,
): Promise<string> {
  const dataBytes = tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  const headerWith = (hashes: readonly string[]) => encodeHeader(tensors, { ...metadata, ...contentMetadata(hashes) });
  const chunks = chunkHashes();
  let digest = "";
  await writeWhole(path, "HIRE-PACK-008", async (handle) => {
    // As long as the header that takes its place.
    await writeAll(handle, headerWith(blankHashes(dataBytes)));
    await writeTensors(handle, tensors, chunks.add);
    const header = headerWith(chunks.all());
    await writeAll(handle, header, 0);
    digest = createHash("sha256").update(header).digest("hex");
  });
  return digest;
}

/** The SHA-256 of every chunk of bytes that are added one after another. */
function chunkHashes() {
  const hashes: string[] = [];
  let [current, filled]: [Hash, number] = [createHash("sha256"), 0];
  const finish = () => {
    hashes.push(current.digest("hex"));
    [current, filled] = [createHash("sha256"), 0];
  };
  return {
    add: (bytes: Uint8Array) => {
      for (let rest = bytes; rest.byteLength > 0; ) {
        const part = rest.subarray(0, CHUNK_BYTES - filled);
        current.update(part);
        filled += part.byteLength;
        if (filled === CHUNK_BYTES) finish();
        rest = rest.subarray(part.byteLength);
      }
    },
    all: () => {
      if (filled > 0) finish();
      return hashes;
    },
  };
}
