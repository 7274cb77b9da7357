// Numbers as weights hold them, by the definition of their formats.

import type { ScoredPlan } from "../plan.ts";

/** Numbers of a dtype by their byte offset. */
export function readNumbers(view: DataView, dtype: ScoredPlan["dtype"]): (at: number) => number {
  if (dtype === "f32") return (at) => view.getFloat32(at, true);
  const values = valuesOf(dtype);
  return (at) => values[view.getUint16(at, true)]!;
}

const known = new Map<ScoredPlan["dtype"], Float64Array>();

/** All 65536 numbers of a dtype of 16 bits, by their bits; made once. */
function valuesOf(dtype: "bf16" | "f16"): Float64Array {
  if (!known.has(dtype)) {
    const [exponentBits, mantissaBits] = dtype === "f16" ? [5, 10] : [8, 7];
    known.set(
      dtype,
      Float64Array.from({ length: 65536 }, (_, bits) => valueOfBits(bits, exponentBits, mantissaBits)),
    );
  }
  return known.get(dtype)!;
}

/** An IEEE 754 binary number of 1 + exponentBits + mantissaBits bits. */
function valueOfBits(bits: number, exponentBits: number, mantissaBits: number): number {
  const exponent = (bits >> mantissaBits) & (2 ** exponentBits - 1);
  const mantissa = (bits & (2 ** mantissaBits - 1)) / 2 ** mantissaBits;
  const sign = bits >> 15 ? -1 : 1;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * mantissa * 2 ** (1 - bias) : sign * (1 + mantissa) * 2 ** (exponent - bias);
}
