// The safetensors format: 8 bytes of header length (little-endian u64), a JSON header, then the tensors' bytes.
// Format: https://huggingface.co/docs/safetensors. Only the header is read here; who reads the bytes decides how.

import { HireError, reasonOf } from "./errors.ts";

/** Bytes per element of the dtypes that hirec reads or writes. Other dtypes of the format may stand in a file unread. */
export const DTYPE_BYTES = { F32: 4, F16: 2, BF16: 2, U32: 4, I32: 4, U8: 1, I8: 1 } as const;

export type TensorDtype = keyof typeof DTYPE_BYTES;

/** Bytes per element of the format's remaining dtypes, so that their headers can be checked too. */
const OTHER_DTYPE_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  I64: 8,
  U64: 8,
  F64: 8,
};

export interface TensorInfo {
  readonly name: string;
  /** One of `DTYPE_BYTES`, or another dtype of the format that hirec does not read. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** First byte and the byte past the last, counted from the start of the file. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Bytes to read before the header's length is known. */
export const PREFIX_BYTES = 8;

/** The format's own limit on a header, so that a lying length cannot ask for the whole memory. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * The byte length of the JSON header, from the file's first 8 bytes.
 * @param fileBytes infinite where the file's length is not known, here and below.
 * @throws HireError HIRE-PACK-002 when the file is too short or the length cannot be true.
 */
export function headerLength(prefix: Uint8Array, fileBytes: number, file: string): number {
  if (prefix.byteLength < PREFIX_BYTES || fileBytes < PREFIX_BYTES) {
    throw broken(file, `it has ${fileBytes} bytes, fewer than the ${PREFIX_BYTES} that give the header's length`);
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  const most = Math.min(MAX_HEADER_BYTES, fileBytes - PREFIX_BYTES);
  if (length > BigInt(most)) {
    throw broken(file, `its first 8 bytes promise a header of ${length} bytes, where at most ${most} can be`);
  }
  return Number(length);
}

/**
 * Reads and checks a header: every tensor lies inside the file, has as many bytes as dtype and shape say, and overlaps
 * no other.
 * @param json the header's bytes, without the 8 that give its length.
 * @throws HireError HIRE-PACK-002 naming the tensor that does not hold.
 */
export function parseHeader(json: Uint8Array, fileBytes: number, file: string): SafetensorsHeader {
  const header = parseJsonObject(json, file);
  const dataStart = PREFIX_BYTES + json.byteLength;
  const tensors = new Map<string, TensorInfo>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") metadata = checkMetadata(entry, file);
    else tensors.set(name, checkTensor(name, entry, dataStart, fileBytes, file));
  }
  checkOverlap([...tensors.values()], file);
  return { tensors, metadata };
}

/** One tensor to be written. `bytes` may be omitted when the caller writes the data itself, in the order given. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
}

export function tensorBytes(tensor: TensorToWrite): number {
  return tensor.shape.reduce((product, extent) => product * extent, DTYPE_BYTES[tensor.dtype]);
}

/**
 * The first bytes of a safetensors file, up to where the tensors' data begins; the data follows in the order given,
 * without gaps. The header is padded with spaces to a multiple of 8 bytes, so that the data is aligned.
 */
export function encodeHeader(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  let offset = 0;
  for (const tensor of tensors) {
    const end = offset + tensorBytes(tensor);
    header[tensor.name] = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(json.byteLength / 8) * 8;
  const bytes = new Uint8Array(PREFIX_BYTES + padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(json, PREFIX_BYTES);
  return bytes;
}

function parseJsonObject(json: Uint8Array, file: string): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (thrown) {
    throw broken(file, `its header is not JSON: ${reasonOf(thrown)}`);
  }
  if (typeof header !== "object" || header === null || Array.isArray(header)) {
    throw broken(file, "its header is not a JSON object");
  }
  return header as Record<string, unknown>;
}

function checkMetadata(entry: unknown, file: string): Record<string, string> {
  const isMap = typeof entry === "object" && entry !== null && !Array.isArray(entry);
  const pairs = isMap ? Object.entries(entry) : undefined;
  if (!pairs?.every(([, value]) => typeof value === "string")) {
    throw broken(file, "its metadata is not a map from strings to strings");
  }
  return Object.fromEntries(pairs) as Record<string, string>;
}

function checkTensor(name: string, entry: unknown, dataStart: number, fileBytes: number, file: string): TensorInfo {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  if (typeof dtype !== "string") throw broken(file, `tensor "${name}" has no dtype`);
  if (!isCounts(shape)) throw broken(file, `tensor "${name}" has no valid shape`);
  if (!isCounts(offsets) || offsets.length !== 2) throw broken(file, `tensor "${name}" has no valid data_offsets`);
  const [begin, end] = offsets as [number, number];
  const width = (DTYPE_BYTES as Record<string, number>)[dtype] ?? OTHER_DTYPE_BYTES[dtype];
  const expected = shape.reduce((product, extent) => product * extent, width ?? 0);
  if (end < begin || (width !== undefined && end - begin !== expected)) {
    throw broken(
      file,
      `tensor "${name}" ${dtype} [${shape}] needs ${expected} bytes, but its offsets span ${end - begin}`,
    );
  }
  if (dataStart + end > fileBytes) {
    throw broken(file, `tensor "${name}" ends at byte ${dataStart + end}, but the file has ${fileBytes}`);
  }
  return { name, dtype, shape, begin: dataStart + begin, end: dataStart + end };
}

function checkOverlap(tensors: TensorInfo[], file: string): void {
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  for (let i = 1; i < tensors.length; i++) {
    const [before, after] = [tensors[i - 1]!, tensors[i]!];
    if (after.begin < before.end) throw broken(file, `tensors "${before.name}" and "${after.name}" share bytes`);
  }
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

function broken(file: string, why: string): HireError {
  return new HireError({
    code: "HIRE-PACK-002",
    message: `${file} is not a whole safetensors file: ${why}`,
    fix: "Download or write the file again; it is truncated, or was made by a tool that does not follow the format",
  });
}
