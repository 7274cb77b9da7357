// How far a row's estimate can be from its score: two numbers per row, rounded up, which a certificate multiplies with
// the norm of a token and with the norm of the error of its codes (docs/certificates.md).

import type { QuantizedRow, RowFormat } from "./quantize.ts";

export interface RowBounds {
  /** At least `‖w - ŵ‖`, in units of the row's scale. */
  readonly error: number;
  /** At least `‖ŵ‖`, in units of the row's scale. */
  readonly norm: number;
}

/** Beyond this, sums of a row's scores might overflow. */
const LARGEST_NORM = 2 ** 60;

/** No bound is so small that its products with a token's norms are subnormal. */
const SMALLEST_BOUND = 2 ** -40;

/** A device may take a weight below this for 0. */
const SMALLEST_NORMAL = 2 ** -126;

/** More than the error of sums and roots in float64. */
const ROUNDING = 1 + 2 ** -30;

/**
 * Both -1 where nothing can be said, because the row holds NaN or infinity or is too large: the row then always becomes a
 * candidate.
 * @param weights the row as it was quantized, padded to `group · groups`.
 */
export function rowBounds(weights: Float32Array, { group }: RowFormat, row: QuantizedRow): RowBounds {
  const { levels, scales, rowScale } = row;
  let errors = 0;
  let squares = 0;
  for (let i = 0; i < weights.length; i++) {
    // Exact in float64: a code of 8 bits, a scale of 8 and one of 24.
    const value = levels[i]! * scales[Math.floor(i / group)]! * rowScale;
    errors += (weights[i]! - value) ** 2;
    squares += value ** 2;
  }
  const [error, norm] = [Math.sqrt(errors), Math.sqrt(squares)];
  if (!(error + norm <= LARGEST_NORM)) return { error: -1, norm: -1 };
  // A row of zeros has the scale 0, which makes bounds of it that are 0 whatever stands here.
  if (rowScale === 0) return { error: SMALLEST_BOUND, norm: SMALLEST_BOUND };
  const flushed = Math.sqrt(weights.length) * SMALLEST_NORMAL;
  return { error: boundOf((error + flushed) / rowScale), norm: boundOf(norm / rowScale) };
}

function boundOf(value: number): number {
  return roundedUp(Math.max(SMALLEST_BOUND, value * ROUNDING));
}

/** The smallest f32 that is not below a positive number. */
function roundedUp(value: number): number {
  const nearest = Math.fround(value);
  return nearest >= value ? nearest : Math.fround(nearest * (1 + 2 ** -23));
}
