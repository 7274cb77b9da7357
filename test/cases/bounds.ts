// The largest score that a row may have, from the weights as they were before packing and by definition: norms in float64,
// whole numbers as BigInts or quotients of them. Shares nothing with the packer, the kernels or runtime/reference.

import type { QuantizedRow } from "../../runtime/pack/quantize.ts";
import type { ScoredPlan } from "../../runtime/plan.ts";
import { bitsOf, fromBits } from "./dtypes.ts";

export interface Bound {
  readonly error: number;
  readonly norm: number;
}

/** Norms of a row's error and of its estimate in steps of its scale, rounded up to f32; nothing for a row without. */
export function boundOfRow(weights: Float32Array, group: number, row: QuantizedRow): Bound | undefined {
  let [error, norm] = [0, 0];
  weights.forEach((weight, i) => {
    const estimate = row.rowScale * (row.levels[i]! * row.scales[Math.floor(i / group)]!);
    error += (weight - estimate) * (weight - estimate);
    norm += estimate * estimate;
  });
  const [e, n] = [Math.sqrt(error), Math.sqrt(norm)];
  if (!Number.isFinite(e + n) || e + n > 2 ** 60) return undefined;
  if (row.rowScale === 0) return { error: 2 ** -40, norm: 2 ** -40 };
  const ofSubnormals = Math.sqrt(weights.length) * 2 ** -126;
  const scaled = (value: number) => ceilingFloat(Math.max(2 ** -40, (value / row.rowScale) * (1 + 2 ** -30)));
  return { error: scaled(e + ofSubnormals), norm: scaled(n) };
}

/** Bounds of a token's norm and of its codes' error, with room for rounding, in steps of the codes when they are int8. */
export function boundOfToken({ estimator, certificate }: ScoredPlan, x: Float32Array): Bound | undefined {
  const { rounding, growth, norm: factor } = certificate!.slack!;
  if (estimator.kind === "quantized" && estimator.activations === "f32") {
    const most = Math.max(...x.map(Math.abs));
    if (!(most >= 2 ** -50 && most <= 2 ** 50)) return { norm: 0, error: 0 };
    let squares = 0;
    for (const value of x) squares += value ** 2;
    const norm = Math.sqrt(squares) * factor;
    return { norm: norm * growth, error: norm * rounding };
  }
  if (x.some((value) => !Number.isFinite(value))) return undefined;
  const largest = Math.max(...x.map(Math.abs));
  let [codes, errors] = [0n, 0n];
  for (const value of x) {
    const fine = quotient(512n * 127n, Math.abs(value), largest);
    const code = (fine + 256n) / 512n;
    const off = fine >= 512n * code ? fine + 1n - 512n * code : 512n * code - fine;
    codes += code * code;
    errors += ((off + 1n) / 2n) ** 2n;
  }
  const error = ceilingRoot(errors);
  const norm = ceilingRoot(codes) + error / 256;
  const room = Math.floor(Math.fround(norm * Math.fround(256 * rounding))) + 2;
  return { norm: Math.fround(norm * growth), error: (error + room) / 256 };
}

/** The whole part of factor · a / b, by whole numbers. */
function quotient(factor: bigint, a: number, b: number): bigint {
  if (b === 0) return 0n;
  // Every f32 is a whole number of the smallest one.
  const whole = (value: number) => BigInt(value * 2 ** 149);
  return (factor * whole(a)) / whole(b);
}

function ceilingRoot(square: bigint): number {
  let root = BigInt(Math.floor(Math.sqrt(Number(square))));
  while (root * root > square) root--;
  while (root * root < square) root++;
  return Number(root);
}

function ceilingFloat(value: number): number {
  const single = Math.fround(value);
  return single >= value ? single : fromBits(bitsOf(single) + 1);
}
