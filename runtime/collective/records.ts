// Small facts as bytes of one size, so that they fit an exchange in which all give as many: JSON, filled up with spaces.

/** Enough for what is sent here; a version that needs other records is told by its header. */
export const RECORD_BYTES = 1024;

export function toRecord(value: unknown): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(value));
  if (text.byteLength > RECORD_BYTES) throw new Error(`a record of ${text.byteLength} bytes exceeds ${RECORD_BYTES}`);
  const record = new Uint8Array(RECORD_BYTES).fill(0x20);
  record.set(text);
  return record;
}

export function fromRecord(record: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(record));
}

/** What every rank said. */
export function fromRecords(gathered: Uint8Array): unknown[] {
  return Array.from({ length: gathered.byteLength / RECORD_BYTES }, (_, rank) =>
    fromRecord(gathered.subarray(rank * RECORD_BYTES, (rank + 1) * RECORD_BYTES)),
  );
}
