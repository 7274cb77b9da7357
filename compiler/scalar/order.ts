// Whether a function keeps the order of scores, as far as trying it out tells.

import { evaluateScalar, type ScalarFunction } from "../../runtime/scalar.ts";

/** Two numbers that a function puts into the wrong order, and what it makes of them; or one that it makes NaN of. */
export type Disorder =
  | { readonly below: number; readonly above: number; readonly first: number; readonly second: number }
  | { readonly isNaNAt: number };

/** Differences that rounding explains are none. */
const TOLERANCE = 1e-9;

/** Scores as they are, close together; then all magnitudes of floats, to infinity. */
const TRIED = [mirrored(200 * 32, (i) => i / 32), mirrored(8 * 200, (i) => Math.fround(2 ** (i / 8 - 72)))];

export function findDisorder(scalar: ScalarFunction): Disorder | undefined {
  const evaluate = evaluateScalar(scalar);
  for (const tried of TRIED) {
    let [below, first] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const above of tried) {
      const second = evaluate(above);
      if (Number.isNaN(second)) return { isNaNAt: above };
      if (second < first - TOLERANCE * Math.abs(first)) return { below, above, first, second };
      [below, first] = [above, second];
    }
  }
  return undefined;
}

/** `at(count)` to `at(1)` below 0, 0, and the same above it. */
function mirrored(count: number, at: (i: number) => number): number[] {
  const positive = Array.from({ length: count }, (_, i) => at(i + 1));
  return [...positive.map((value) => -value).reverse(), 0, ...positive];
}
