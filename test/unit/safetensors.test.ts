// The safetensors header: what is written is read back, and what cannot be true is refused.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HireError } from "../../runtime/errors.ts";
import {
  DTYPE_BYTES,
  encodeHeader,
  headerLength,
  PREFIX_BYTES,
  parseHeader,
  type TensorDtype,
  tensorBytes,
} from "../../runtime/safetensors.ts";

/** Reads a header as a file's reader does: the prefix first, then what it promises. */
function parse(bytes: Uint8Array, fileBytes = bytes.byteLength) {
  const length = headerLength(bytes.subarray(0, PREFIX_BYTES), fileBytes, "F");
  return parseHeader(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + length), fileBytes, "F");
}

/** A file of `data` bytes behind a header. */
function file(header: unknown, data: number): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(PREFIX_BYTES + json.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, PREFIX_BYTES);
  return bytes;
}

function refusal(read: () => unknown): string {
  try {
    read();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(HireError);
    expect((thrown as HireError).code).toBe("HIRE-PACK-002");
    return (thrown as HireError).diagnostics[0]!.message;
  }
  throw new Error("nothing was refused");
}

const tensors = fc.uniqueArray(
  fc.record({
    name: fc.string({ minLength: 1, unit: "grapheme" }).filter((name) => !["__metadata__", "__proto__"].includes(name)),
    dtype: fc.constantFrom(...(Object.keys(DTYPE_BYTES) as TensorDtype[])),
    shape: fc.array(fc.nat(5), { maxLength: 4 }),
  }),
  { selector: ({ name }) => name, maxLength: 6 },
);

test("any tensors and metadata are read back as they were written, one behind the other and aligned", () => {
  fc.assert(
    fc.property(
      tensors,
      fc.dictionary(
        fc.string().filter((key) => key !== "__proto__"),
        fc.string(),
      ),
      (list, metadata) => {
        const header = encodeHeader(list, metadata);
        const data = list.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
        const read = parse(header, header.byteLength + data);
        expect(header.byteLength % 8).toBe(0);
        expect(read.metadata).toEqual({ ...metadata });
        expect(read.tensors.size).toBe(list.length);
        let begin = header.byteLength;
        for (const tensor of list) {
          const end = begin + tensorBytes(tensor);
          expect(read.tensors.get(tensor.name)).toEqual({ ...tensor, begin, end });
          begin = end;
        }
      },
    ),
    { seed: 3, numRuns: 200 },
  );
});

test("tensors may lie in another order than their names, and dtypes that hirec does not read may be there", () => {
  const { tensors: read } = parse(
    file(
      {
        b: { dtype: "F32", shape: [2], data_offsets: [8, 16] },
        a: { dtype: "I64", shape: [1], data_offsets: [0, 8] },
        new: { dtype: "F4", shape: [3], data_offsets: [16, 18] },
      },
      18,
    ),
  );
  expect([...read.keys()].sort()).toEqual(["a", "b", "new"]);
});

const ONE = { dtype: "F32", shape: [2, 2], data_offsets: [0, 16] };

describe("a header is refused", () => {
  test.each([0, 1, 7])("when a file of %i bytes has no room for its length", (bytes) => {
    expect(refusal(() => parse(new Uint8Array(bytes)))).toContain(`it has ${bytes} bytes`);
  });

  test("at every byte where a file may have been cut off", () => {
    const whole = file({ a: ONE }, 16);
    for (let bytes = 0; bytes < whole.length; bytes++) refusal(() => parse(whole.slice(0, bytes)));
    expect(parse(whole).tensors.size).toBe(1);
  });

  test.each([1n, 2n ** 31n, 2n ** 53n, 2n ** 64n - 1n])("when its length is %d beyond the file", (beyond) => {
    const bytes = file({ a: ONE }, 0);
    const length = BigInt(bytes.length - PREFIX_BYTES);
    new DataView(bytes.buffer).setBigUint64(0, beyond > length ? beyond : length + beyond, true);
    expect(refusal(() => parse(bytes))).toContain("promise a header of");
  });

  test("when its length is more than the format allows, though the file is long enough", () => {
    const prefix = new Uint8Array(8);
    new DataView(prefix.buffer).setBigUint64(0, 100_000_001n, true);
    expect(refusal(() => headerLength(prefix, 2 ** 40, "F"))).toContain("100000001");
  });

  test.each(["", "{", "[]", "null", "3", '{"a":}', '{"a":"\u0080'])(
    "when it is %j instead of a JSON object",
    (text) => {
      expect(refusal(() => parse(file(text, 0)))).toContain("its header is not");
    },
  );

  test("when it is not UTF-8", () => {
    const bytes = file('{"a":{}}', 0);
    bytes[PREFIX_BYTES + 2] = 0xff;
    expect(refusal(() => parse(bytes))).toContain("not JSON");
  });

  const entries: readonly [what: string, entry: unknown, message: string][] = [
    ["null", null, 'tensor "a" has no dtype'],
    ["no dtype", { ...ONE, dtype: 3 }, 'tensor "a" has no dtype'],
    ["no shape", { ...ONE, shape: undefined }, 'tensor "a" has no valid shape'],
    ["a negative extent", { ...ONE, shape: [-2, -2] }, 'tensor "a" has no valid shape'],
    ["a broken extent", { ...ONE, shape: [1.5] }, 'tensor "a" has no valid shape'],
    ["no offsets", { ...ONE, data_offsets: undefined }, 'tensor "a" has no valid data_offsets'],
    ["three offsets", { ...ONE, data_offsets: [0, 8, 16] }, 'tensor "a" has no valid data_offsets'],
    ["a negative offset", { ...ONE, data_offsets: [-16, 0] }, 'tensor "a" has no valid data_offsets'],
    ["offsets that go backwards", { ...ONE, data_offsets: [16, 0] }, "needs 16 bytes"],
    ["too few bytes", { ...ONE, data_offsets: [0, 12] }, "needs 16 bytes, but its offsets span 12"],
    ["too many bytes", { ...ONE, data_offsets: [0, 20] }, "needs 16 bytes, but its offsets span 20"],
    ["an extent that makes the bytes inexact", { ...ONE, shape: [2 ** 52, 2 ** 52] }, "needs"],
    ["an end beyond the file", { ...ONE, data_offsets: [16, 32] }, 'tensor "a" ends at byte'],
  ];
  test.each(entries)("when a tensor has %s", (_what, entry, message) => {
    expect(refusal(() => parse(file({ a: entry }, 24)))).toContain(message);
  });

  test.each([
    [
      [0, 16],
      [0, 16],
    ],
    [
      [0, 16],
      [12, 28],
    ],
    [
      [12, 28],
      [0, 16],
    ],
  ])("when tensors at %j and %j share bytes", (first, second) => {
    const header = { a: { ...ONE, data_offsets: first }, b: { ...ONE, data_offsets: second } };
    expect(refusal(() => parse(file(header, 40)))).toContain("share bytes");
  });

  test("when a tensor lies inside another", () => {
    const header = {
      inside: { dtype: "F32", shape: [2], data_offsets: [8, 16] },
      long: { dtype: "F32", shape: [10], data_offsets: [0, 40] },
    };
    expect(refusal(() => parse(file(header, 40)))).toContain("share bytes");
  });

  test.each([{ a: 1 }, null, "text", ["list"]].map((metadata) => ({ metadata })))(
    "when its metadata is $metadata",
    ({ metadata }) => {
      expect(refusal(() => parse(file({ __metadata__: metadata }, 0)))).toContain("metadata");
    },
  );
});
