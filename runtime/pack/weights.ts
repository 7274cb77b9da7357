// Weights as they lie in a file, read as numbers.

/** A `[rows, inputs]` matrix, row by row, little-endian, as in safetensors. */
export interface WeightMatrix {
  readonly rows: number;
  readonly inputs: number;
  readonly dtype: "f32" | "f16" | "bf16";
  readonly bytes: Uint8Array;
}

export const WEIGHT_BYTES = { f32: 4, f16: 2, bf16: 2 } as const;

/** A function that writes row `row` into the first `inputs` places of `into`. */
export function rowReader({ inputs, dtype, bytes }: WeightMatrix): (row: number, into: Float32Array) => void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = WEIGHT_BYTES[dtype];
  const read = {
    f32: (at: number) => view.getFloat32(at, true),
    f16: (at: number) => f16ToF32(view.getUint16(at, true)),
    bf16: (at: number) => bf16ToF32(view.getUint16(at, true)),
  }[dtype];
  return (row, into) => {
    for (let i = 0, at = row * inputs * width; i < inputs; i++, at += width) into[i] = read(at);
  };
}

/** A function that writes rows `first` to `first + count - 1`, `[count, inputs]`, into `into`. */
export function blockReader(matrix: WeightMatrix): (first: number, count: number, into: Float32Array) => void {
  const { inputs, dtype, bytes } = matrix;
  const rowBytes = inputs * WEIGHT_BYTES[dtype];
  // A copy: the bytes of a tensor may begin anywhere in their file.
  const copied = (first: number, count: number) =>
    new Uint8Array(bytes.subarray(first * rowBytes, (first + count) * rowBytes)).buffer;
  if (dtype === "f32") return (first, count, into) => into.set(new Float32Array(copied(first, count)));
  if (dtype === "f16") {
    const values = Float32Array.from({ length: 65536 }, (_, bits) => f16ToF32(bits));
    return (first, count, into) => {
      const halves = new Uint16Array(copied(first, count));
      for (let i = 0; i < halves.length; i++) into[i] = values[halves[i]!]!;
    };
  }
  return (first, count, into) => {
    const words = new Uint32Array(into.buffer, into.byteOffset, count * inputs);
    const halves = new Uint16Array(copied(first, count));
    for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
  };
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** The bits of the bf16 nearest to a number; halfway goes to the even one, and NaN stays NaN. */
export function toBf16(value: number): number {
  float[0] = value;
  if (Number.isNaN(value)) return 0x7fc0;
  return ((word[0]! + 0x7fff + ((word[0]! >>> 16) & 1)) >>> 16) & 0xffff;
}

/** A bf16 is the upper half of an f32. */
export function bf16ToF32(bits: number): number {
  word[0] = bits << 16;
  return float[0]!;
}

/** IEEE 754 binary16: 5 exponent bits, 10 mantissa bits. */
export function f16ToF32(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0x1f) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** The bits of the f16 nearest to a number; halfway goes to the even one, NaN stays NaN, and what is too large is infinite. */
export function toF16(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)));
  const units = magnitude / 2 ** (exponent - 10);
  const whole = Math.floor(units);
  const up = units - whole > 0.5 || (units - whole === 0.5 && whole % 2 === 1);
  // Of the 11 bits of a normal number the first is not stored: it raises the exponent from the one below.
  return sign | (((exponent + 14) << 10) + whole + Number(up));
}
