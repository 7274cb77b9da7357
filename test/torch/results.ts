// What emitted packages return, as the tests read it from the bytes of tensors.

/** int64 as the runtime's u32: -1 is no row. */
export function rows(bytes: Uint8Array<ArrayBuffer>): Uint32Array {
  return Uint32Array.from(new BigInt64Array(bytes.buffer), (row) => Number(row));
}

export function floats(bytes: Uint8Array<ArrayBuffer>): Float32Array {
  return new Float32Array(bytes.buffer);
}
