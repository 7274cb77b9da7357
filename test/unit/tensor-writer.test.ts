import fc from "fast-check";
import { expect, test } from "vitest";
import { tensorWriter } from "../../runtime/webgpu/tensor-writer.ts";

/** A queue whose buffers are arrays, and which refuses what WebGPU's refuses. */
function memoryQueue() {
  const queue = {
    writeBuffer: (buffer: { memory: Uint8Array }, offset: number, bytes: Uint8Array) => {
      if (offset % 4 !== 0 || bytes.byteLength % 4 !== 0) throw new Error(`${bytes.byteLength} bytes at ${offset}`);
      buffer.memory.set(bytes, offset);
    },
  };
  return queue as unknown as GPUQueue;
}

test("a tensor in pieces of any lengths fills its slices, in whole words", () => {
  const lengths = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 20 });
  const slices = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(lengths, slices, (pieces, sizes) => {
      const total = sizes.reduce((sum, each) => sum + each, 0);
      const bytes = Uint8Array.from({ length: total }, (_, i) => i + 1);
      const buffers = sizes.map((size) => ({ memory: new Uint8Array(Math.ceil(size / 4) * 4).fill(99) }));
      const write = tensorWriter(memoryQueue(), buffers as unknown as GPUBuffer[], sizes);
      let offset = 0;
      for (const length of [...pieces, total]) {
        write(bytes.subarray(offset, offset + length));
        offset += length;
      }
      let begin = 0;
      for (const [i, size] of sizes.entries()) {
        const expected = [...bytes.subarray(begin, begin + size), ...new Uint8Array((4 - (size % 4)) % 4)];
        expect([...buffers[i]!.memory]).toEqual(expected);
        begin += size;
      }
    }),
  );
});
