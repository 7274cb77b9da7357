// The largest score that a row may have, and what is certain when all rows that were dropped are below a value
// (docs/certificates.md). Whole numbers and their roots come from float64, which holds them exactly.

import type { ScoredPlan } from "../plan.ts";
import { better } from "./order.ts";

/** Upper bounds of a token's norm and of the norm of its codes' error, as the score of a row meets them. */
export interface TokenNorms {
  readonly norm: number;
  readonly error: number;
}

/** @param x one token, `[inputs]`. */
export function tokenNorms({ estimator, certificate }: ScoredPlan, x: Float32Array): TokenNorms {
  if (estimator.kind !== "quantized" || !certificate?.slack) throw new Error("only quantized layers have bounds");
  const { rounding, growth, norm: factor } = certificate.slack;
  if (estimator.activations === "f32") {
    const norm = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0)) * factor;
    return isInRange(x) ? { norm: norm * growth, error: norm * rounding } : { norm: 0, error: 0 };
  }
  const largest = largestOf(x);
  let [codes, errors] = [0, 0];
  for (const value of x) {
    // In 1/512 of a code's step, rounded down. No quotient of such numbers is rounded up to a whole one.
    const fine = largest === 0 ? 0 : Math.floor((512 * 127 * Math.abs(value)) / largest);
    const code = Math.floor((fine + 256) / 512);
    codes += code ** 2;
    errors += Math.ceil(Math.max(512 * code - fine, fine + 1 - 512 * code) / 2) ** 2;
  }
  const error = Math.ceil(Math.sqrt(errors));
  const norm = Math.ceil(Math.sqrt(codes)) + error / 256;
  const room = Math.trunc(Math.fround(norm * Math.fround(256 * rounding))) + 2;
  return { norm: Math.fround(norm * growth), error: (error + room) / 256 };
}

/**
 * What a row's order is decided by: its estimate and the bounds of its error, in steps of the token's codes.
 * @param score in units of the row's scale; whole when tokens are int8.
 * @param bound the row's error and norm, both -1 when nothing is known of it.
 */
export function upperScore(
  { estimator }: ScoredPlan,
  score: number,
  bound: { readonly error: number; readonly norm: number },
  norms: TokenNorms,
  rowScale: number,
): number {
  if (bound.error < 0) return Number.NaN;
  if (estimator.kind === "quantized" && estimator.activations === "f32") {
    return (score + bound.error * norms.norm + bound.norm * norms.error) * rowScale;
  }
  const ofRow = Math.trunc(Math.fround(bound.error * norms.norm));
  const ofToken = Math.trunc(Math.fround(bound.norm * norms.error));
  return Math.fround(Math.fround(Math.fround(score) + Math.fround(ofRow + ofToken + 2)) * rowScale);
}

/**
 * What rows may score whose upper scores order no higher than `dropped`: NaN where nothing is certain, absent when there are
 * no such rows.
 */
export function boundOf({ estimator }: ScoredPlan, x: Float32Array, dropped?: number): number | undefined {
  if (dropped === undefined || estimator.kind === "dense") return dropped;
  if (Number.isNaN(dropped) || !isInRange(x)) return Number.NaN;
  const step = estimator.activations === "int8" ? Math.fround(largestOf(x) * Math.fround(1 / 127)) : 1;
  const bound = Math.fround(dropped * step);
  return Math.abs(bound) < 2 ** -80 ? 2 ** -80 : bound;
}

/** Whether a value is above a bound. A tie is no proof: with equal rows, the one of which nothing is known goes first. */
export function isAbove(value: number, bound?: number): boolean {
  return bound === undefined || better(value, 1, bound, 0);
}

/** Whether norms can be bounded in f32: no square overflows, and the largest is well above the smallest number. */
function isInRange(x: Float32Array): boolean {
  const largest = largestOf(x);
  return largest >= 2 ** -50 && largest <= 2 ** 50;
}

/** NaN when the token holds NaN. */
function largestOf(x: Float32Array): number {
  return x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
