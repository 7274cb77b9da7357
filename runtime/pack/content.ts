// What the bytes of a pack are. The header holds the SHA-256 of every chunk of the data behind it, so the SHA-256 of the
// header, the pack's digest, pins every byte of the file; and a chunk can be checked by itself, before anything uses it.
// WebCrypto hashes whole buffers only: one hash over the file could not be made while the file streams.

import { HireError } from "../errors.ts";
import type { SafetensorsHeader } from "../safetensors.ts";
import { noSecureContext } from "../secure-context.ts";

/** Bytes of a chunk; the last one of a pack has what is left. */
export const CHUNK_BYTES = 1 << 20;

/** Hexadecimal digits of a SHA-256. */
const HASH_DIGITS = 64;

/** The hashes of all chunks, as a pack's metadata carries them. */
export function contentMetadata(hashes: readonly string[]): Record<string, string> {
  return { hirec_chunk_bytes: String(CHUNK_BYTES), hirec_chunk_sha256: hashes.join("") };
}

/** Hashes that are not known yet, as many and as long as those of so many bytes. */
export function blankHashes(dataBytes: number): string[] {
  return Array.from({ length: Math.ceil(dataBytes / CHUNK_BYTES) }, () => "0".repeat(HASH_DIGITS));
}

/** A chunk of a pack: its place in the file, and the SHA-256 that its bytes must have. */
export interface PackChunk {
  readonly begin: number;
  readonly end: number;
  readonly sha256: string;
}

/**
 * The chunks of a pack, in order.
 * @param dataStart the file's first byte behind the header.
 * @throws HireError HIRE-PACK-007 when the header does not hold a hash for each.
 */
export function packChunks({ metadata, tensors }: SafetensorsHeader, dataStart: number, from: string): PackChunk[] {
  const end = [...tensors.values()].reduce((most, tensor) => Math.max(most, tensor.end), dataStart);
  const hashes = metadata.hirec_chunk_sha256?.match(/[0-9a-f]{64}/g) ?? [];
  const count = Math.ceil((end - dataStart) / CHUNK_BYTES);
  if (metadata.hirec_chunk_bytes !== String(CHUNK_BYTES) || hashes.length !== count) {
    throw new HireError({
      code: "HIRE-PACK-007",
      message: `${from} does not hold the hashes by which this hirec checks a download`,
      fix: `Pack again: hirec pack MODULE --weights FILE --out ${from}`,
    });
  }
  return hashes.map((sha256, index) => {
    const begin = dataStart + index * CHUNK_BYTES;
    return { begin, end: Math.min(begin + CHUNK_BYTES, end), sha256 };
  });
}

/**
 * The SHA-256 of bytes in memory, in hexadecimal.
 * @throws HireError HIRE-RUN-022 in a page that is no secure context, where there is no WebCrypto.
 */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const { subtle } = globalThis.crypto ?? {};
  if (!subtle) throw noSecureContext();
  const digest = new Uint8Array(await subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
