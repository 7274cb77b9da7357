// One row to low-bit codes. A weight is about `code · scale_of_group · scale_of_row`: codes are symmetric, from
// -(2^(bits-1) - 1) to +(2^(bits-1) - 1); group scales are whole numbers up to 255 and the row scale is an f32, so that a
// score in integers is exact and costs one float operation per row.

export interface RowFormat {
  readonly bits: 4 | 8;
  /** Inputs per group, and groups per row; a row is padded to `group · groups` with zeros. */
  readonly group: number;
  readonly groups: number;
  /** Largest group scale; with one group the row scale stands alone. */
  readonly scaleMax: number;
}

/** A quantized row. The arrays are the caller's, to be used again for the next row. */
export interface QuantizedRow {
  readonly codes: Int8Array;
  readonly scales: Uint8Array;
  rowScale: number;
}

export function emptyRow({ group, groups }: RowFormat): QuantizedRow {
  return { codes: new Int8Array(group * groups), scales: new Uint8Array(groups), rowScale: 0 };
}

/**
 * Shares of a group's full range that are tried as the range of its codes. Clipping the few largest weights makes every
 * step finer; with 4 bits that lowers the squared error, with 8 bits it does not.
 */
const RANGES = { 4: [1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7], 8: [1] } as const;

/** Below this an f32 is subnormal, and a device may take it for 0. */
const SMALLEST_NORMAL = 2 ** -126;

/**
 * Quantizes `weights` (padded to `group · groups`) with the scale of least squared error among a few.
 * A row that holds NaN or infinity gets the row scale NaN: its score is NaN, which orders as the largest, so the row
 * becomes a candidate and its exact score decides.
 */
export function quantizeRow(weights: Float32Array, format: RowFormat, into: QuantizedRow): void {
  const { bits, group, groups, scaleMax } = format;
  const codeMax = 2 ** (bits - 1) - 1;
  let largest = 0;
  for (const weight of weights) {
    // Number.isFinite also catches NaN, which Math.max would hide or spread.
    if (!Number.isFinite(weight)) {
      into.codes.fill(0);
      into.scales.fill(0);
      into.rowScale = Number.NaN;
      return;
    }
    largest = Math.max(largest, Math.abs(weight));
  }
  const unit = groups === 1 ? 1 : scaleMax;
  into.rowScale = largest === 0 ? 0 : Math.max(SMALLEST_NORMAL, Math.fround(largest / (codeMax * unit)));
  if (groups === 1) {
    into.rowScale = bestRowScale(weights, codeMax, RANGES[bits], into.rowScale);
    encode(weights, 0, group, codeMax, into.rowScale, into.codes);
    into.scales[0] = 1;
    return;
  }
  for (let g = 0; g < groups; g++) {
    const scale = bestGroupScale(weights, g * group, group, codeMax, RANGES[bits], into.rowScale, scaleMax);
    into.scales[g] = scale;
    encode(weights, g * group, group, codeMax, scale * into.rowScale, into.codes);
  }
}

function bestRowScale(weights: Float32Array, codeMax: number, ranges: readonly number[], full: number): number {
  return bestOf(
    ranges.map((range) => Math.max(full === 0 ? 0 : SMALLEST_NORMAL, Math.fround(full * range))),
    (scale) => squaredError(weights, 0, weights.length, codeMax, scale),
  );
}

function bestGroupScale(
  weights: Float32Array,
  begin: number,
  group: number,
  codeMax: number,
  ranges: readonly number[],
  rowScale: number,
  scaleMax: number,
): number {
  let largest = 0;
  for (let i = begin; i < begin + group; i++) largest = Math.max(largest, Math.abs(weights[i]!));
  if (largest === 0) return 0;
  const full = largest / (codeMax * rowScale);
  return bestOf(
    ranges.map((range) => Math.min(scaleMax, Math.max(1, Math.round(full * range)))),
    (scale) => squaredError(weights, begin, group, codeMax, scale * rowScale),
  );
}

/** The first candidate of least cost. */
function bestOf(candidates: readonly number[], cost: (candidate: number) => number): number {
  let best = candidates[0]!;
  if (candidates.length === 1) return best;
  let least = cost(best);
  for (const candidate of candidates.slice(1)) {
    if (candidate === best) continue;
    const own = cost(candidate);
    if (own < least) [best, least] = [candidate, own];
  }
  return best;
}

function squaredError(weights: Float32Array, begin: number, count: number, codeMax: number, scale: number): number {
  // A product instead of a quotient, and comparisons instead of Math.min: this loop is most of the time of packing.
  const inverse = 1 / scale;
  let sum = 0;
  for (let i = begin; i < begin + count; i++) {
    const weight = weights[i]!;
    const error = weight - codeOf(weight * inverse, codeMax) * scale;
    sum += error * error;
  }
  return sum;
}

function encode(
  weights: Float32Array,
  begin: number,
  count: number,
  codeMax: number,
  scale: number,
  codes: Int8Array,
): void {
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let i = begin; i < begin + count; i++) codes[i] = codeOf(weights[i]! * inverse, codeMax);
}

/** The nearest code to a weight in units of its scale. */
function codeOf(units: number, codeMax: number): number {
  const code = Math.floor(units + 0.5);
  return code > codeMax ? codeMax : code < -codeMax ? -codeMax : code;
}
