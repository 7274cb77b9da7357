// One row to low-bit codes. A weight is about `level · scale_of_group · scale_of_row`: levels are the whole numbers that codes
// stand for (code-format.ts); group scales are whole numbers up to 255 and the row scale is an f32, so that a score in
// integers is exact and costs one float operation per row.

import { type CodeBits, codeFormat, largestLevel } from "./code-format.ts";

export interface RowFormat {
  readonly bits: CodeBits;
  /** Inputs per group, and groups per row; a row is padded to `group · groups` with zeros. */
  readonly group: number;
  readonly groups: number;
  /** Largest group scale; with one group the row scale stands alone. */
  readonly scaleMax: number;
}

/** A quantized row. The arrays are the caller's, to be used again for the next row. */
export interface QuantizedRow {
  /** The number that the code of each weight stands for. */
  readonly levels: Int8Array;
  readonly scales: Uint8Array;
  rowScale: number;
}

export function emptyRow({ group, groups }: RowFormat): QuantizedRow {
  return { levels: new Int8Array(group * groups), scales: new Uint8Array(groups), rowScale: 0 };
}

/**
 * Shares of a group's full range that are tried as the range of its levels. Clipping the few largest weights makes every
 * step finer, which lowers the error more the fewer levels there are; with 8 bits it does not.
 */
const RANGES: Readonly<Record<CodeBits, readonly number[]>> = {
  2: [1, 0.9, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4],
  3: [1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55],
  4: [1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7],
  5: [1, 0.95, 0.9, 0.85, 0.8],
  6: [1, 0.95, 0.9],
  8: [1],
};

/** Below this an f32 is subnormal, and a device may take it for 0. */
const SMALLEST_NORMAL = 2 ** -126;

/**
 * Quantizes `weights` (padded to `group · groups`) with the scales of least error among a few.
 *
 * The error is the sum of squares over the columns, each as dear as `importance` says (the mean square of its input, by
 * default all alike): for inputs that are independent of each other that is the mean square of the error of the score.
 *
 * A row that holds NaN or infinity gets the row scale NaN: its score is NaN, which orders as the largest, so the row
 * becomes a candidate and its exact score decides.
 */
export function quantizeRow(
  weights: Float32Array,
  format: RowFormat,
  into: QuantizedRow,
  importance?: Float32Array,
): void {
  const { group, groups, scaleMax } = format;
  const ranges = RANGES[format.bits];
  const top = largestLevel(format.bits);
  let largest = 0;
  for (const weight of weights) {
    // Number.isFinite also catches NaN, which Math.max would hide or spread.
    if (!Number.isFinite(weight)) {
      into.levels.fill(codeFormat(format.bits).odd ? 1 : 0);
      into.scales.fill(0);
      into.rowScale = Number.NaN;
      return;
    }
    largest = Math.max(largest, Math.abs(weight));
  }
  const unit = groups === 1 ? 1 : scaleMax;
  into.rowScale = largest === 0 ? 0 : Math.max(SMALLEST_NORMAL, Math.fround(largest / (top * unit)));
  const levelOf = codeFormat(format.bits).odd ? oddLevel : evenLevel;
  const error = (begin: number, count: number, scale: number) =>
    squaredError(weights, begin, count, levelOf, top, scale, importance);
  const encode = (begin: number, count: number, scale: number) => {
    const inverse = scale === 0 ? 0 : 1 / scale;
    for (let i = begin; i < begin + count; i++) into.levels[i] = levelOf(weights[i]! * inverse, top);
  };
  if (groups === 1) {
    const full = into.rowScale;
    into.rowScale = bestOf(
      ranges.map((range) => Math.max(full === 0 ? 0 : SMALLEST_NORMAL, Math.fround(full * range))),
      (scale) => error(0, group, scale),
    );
    encode(0, group, into.rowScale);
    into.scales[0] = 1;
    return;
  }
  for (let g = 0; g < groups; g++) {
    const begin = g * group;
    let most = 0;
    for (let i = begin; i < begin + group; i++) most = Math.max(most, Math.abs(weights[i]!));
    const full = most / (top * into.rowScale);
    const scale =
      most === 0
        ? 0
        : bestOf(
            ranges.map((range) => Math.min(scaleMax, Math.max(1, Math.round(full * range)))),
            (each) => error(begin, group, each * into.rowScale),
          );
    into.scales[g] = scale;
    encode(begin, group, scale * into.rowScale);
  }
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

function squaredError(
  weights: Float32Array,
  begin: number,
  count: number,
  levelOf: (units: number, top: number) => number,
  top: number,
  scale: number,
  importance: Float32Array | undefined,
): number {
  // A product instead of a quotient: this loop is most of the time of packing.
  const inverse = 1 / scale;
  let sum = 0;
  for (let i = begin; i < begin + count; i++) {
    const weight = weights[i]!;
    const error = weight - levelOf(weight * inverse, top) * scale;
    sum += importance === undefined ? error * error : error * error * importance[i]!;
  }
  return sum;
}

/** The nearest level to a weight in units of its scale. */
function evenLevel(units: number, top: number): number {
  const level = Math.floor(units + 0.5);
  return level > top ? top : level < -top ? -top : level;
}

/** The nearest odd level. */
function oddLevel(units: number, top: number): number {
  const level = 2 * Math.floor(units / 2) + 1;
  return level > top ? top : level < -top ? -top : level;
}
