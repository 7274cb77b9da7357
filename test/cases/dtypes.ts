// Numbers as weights files hold them. Written apart from runtime/pack/weights.ts, so that neither hides the other's bugs.

import type { Dtype } from "../../dsl/index.ts";

/** The nearest number that the dtype has; halfway goes to the even one. */
export function roundTo(value: number, dtype: Dtype): number {
  const single = Math.fround(value);
  if (dtype === "f32" || single === 0 || !Number.isFinite(single)) return single;
  const [mantissaBits, smallestExponent, largest] = dtype === "f16" ? [10, -14, 65504] : [7, -126, 2 ** 128 - 2 ** 120];
  const unit = 2 ** (Math.max(exponentOf(single), smallestExponent) - mantissaBits);
  const rounded = roundHalfToEven(single / unit) * unit;
  return Math.abs(rounded) > largest ? Math.sign(rounded) * Number.POSITIVE_INFINITY : rounded;
}

/** Little-endian bytes of numbers that the dtype has. */
export function encode(values: Float32Array, dtype: Dtype): Uint8Array {
  const width = dtype === "f32" ? 4 : 2;
  const view = new DataView(new ArrayBuffer(values.length * width));
  values.forEach((value, i) => {
    if (dtype === "f32") view.setFloat32(i * 4, value, true);
    else view.setUint16(i * 2, dtype === "bf16" ? bitsOf(value) >>> 16 : halfBits(value), true);
  });
  return new Uint8Array(view.buffer);
}

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** The bits of an f32. */
export function bitsOf(value: number): number {
  float[0] = value;
  return word[0]!;
}

/** The f32 of some bits. */
export function fromBits(bits: number): number {
  word[0] = bits;
  return float[0]!;
}

function exponentOf(value: number): number {
  return ((bitsOf(value) >>> 23) & 0xff) - 127;
}

function roundHalfToEven(value: number): number {
  const below = Math.floor(value);
  const over = value - below;
  return over > 0.5 || (over === 0.5 && below % 2 !== 0) ? below + 1 : below;
}

function halfBits(value: number): number {
  const sign = bitsOf(value) >>> 31 ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (magnitude === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | (magnitude * 2 ** 24);
  const exponent = exponentOf(magnitude);
  return sign | ((exponent + 15) << 10) | ((magnitude / 2 ** exponent - 1) * 1024);
}
