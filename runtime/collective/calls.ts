// One call of a participant: what it is for people, and the header that travels in front of its bytes.

export const KINDS = ["open", "allGather", "allReduceSum", "barrier", "close"] as const;

export interface Call {
  /** How many calls this participant has made before. */
  readonly number: number;
  readonly kind: (typeof KINDS)[number];
  /** How many bytes this participant gives. */
  readonly bytes: number;
  readonly doing: string;
}

/**
 * MPI does not say when ranks make different calls: a block that is too short leaves the rest of the other's memory as it
 * was (seen with Open MPI and MPICH). So each block begins with its call, and is taken only when the call is the same.
 */
export const HEADER_BYTES = 16;

/** The first word of a header; counts up when headers or what follows them change. */
const MAGIC = 0x48695201;

export function isSameCall(one: Call, other: Call): boolean {
  return one.number === other.number && one.kind === other.kind && one.bytes === other.bytes;
}

export function headerOf({ number, kind, bytes }: Call): Uint8Array {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  [MAGIC, number >>> 0, KINDS.indexOf(kind), bytes].forEach((word, i) => {
    header.setUint32(4 * i, word, true);
  });
  return new Uint8Array(header.buffer);
}

/** The call without its words, or undefined for what is no header of this version. */
export function readHeader(block: Uint8Array): Omit<Call, "doing"> | undefined {
  const words = new DataView(block.buffer, block.byteOffset, HEADER_BYTES);
  const kind = KINDS[words.getUint32(8, true)];
  if (words.getUint32(0, true) !== MAGIC || !kind) return undefined;
  return { number: words.getUint32(4, true), kind, bytes: words.getUint32(12, true) };
}

/** As in "gathering candidates of head (exchange 7, allGather of 96 bytes)". */
export function describeCall({ number, kind, bytes, doing }: Call): string {
  return `${doing} (exchange ${number}, ${kind}${bytes === 0 ? "" : ` of ${bytes} bytes`})`;
}

/** Runs what a participant calls one after the other, in the order of the calls. */
export function inOrder(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work, work);
    last = result.catch(() => {});
    return result;
  };
}
