// A tensor written to its buffers piece by piece, as it arrives.

/**
 * @param buffers one per slice, of at least so many bytes, rounded up to whole words.
 * @returns writes the next bytes of the tensor; nothing of them is needed afterwards.
 */
export function tensorWriter(
  queue: GPUQueue,
  buffers: readonly GPUBuffer[],
  sizes: readonly number[],
): (piece: Uint8Array) => void {
  let [slice, offset] = [0, 0];
  // writeBuffer takes whole words, and pieces end anywhere: what lacks a part of its word waits here.
  const word = new Uint8Array(4);
  let waiting = 0;
  const put = (bytes: Uint8Array) => {
    queue.writeBuffer(buffers[slice]!, offset, bytes as Uint8Array<ArrayBuffer>);
    offset += bytes.byteLength;
  };
  const writePart = (part: Uint8Array) => {
    const missing = waiting > 0 ? Math.min(4 - waiting, part.byteLength) : 0;
    word.set(part.subarray(0, missing), waiting);
    waiting += missing;
    if (waiting === 4) {
      put(word);
      waiting = 0;
    }
    const whole = missing + Math.floor((part.byteLength - missing) / 4) * 4;
    if (whole > missing) put(part.subarray(missing, whole));
    if (whole < part.byteLength) {
      word.set(part.subarray(whole), waiting);
      waiting += part.byteLength - whole;
    }
  };
  return (piece) => {
    for (let rest = piece; rest.byteLength > 0; ) {
      const part = rest.subarray(0, sizes[slice]! - offset - waiting);
      writePart(part);
      rest = rest.subarray(part.byteLength);
      if (offset + waiting < sizes[slice]!) continue;
      // The last word of a slice may be half a word.
      if (waiting > 0) put(word.fill(0, waiting));
      [slice, offset, waiting] = [slice + 1, 0, 0];
    }
  };
}
