// Estimated scores in float64, from the packed copy.

import type { ScoredPlan } from "../plan.ts";
import { tokenNorms, upperScore } from "./certificate.ts";
import { readNumbers } from "./numbers.ts";

/** Where row `row` lies in a tensor of `[buckets, tiles, parts, lanes]`: the offset of part 0, and from part to part. */
export function locate(
  { selection: { buckets }, tiling: { tiles, lanes }, group }: ScoredPlan,
  row: number,
  parts: number,
) {
  const { size, common } = group ?? { size: 1, common: 0 };
  const choice = Math.floor(row / size) - common;
  const position = Math.floor(choice / buckets);
  const perTile = Math.floor(lanes / size);
  const tile = Math.floor(position / perTile);
  const lane = (position % perTile) * size + (row % size);
  return { first: ((choice % buckets) * tiles + tile) * parts * lanes + lane, stride: lanes };
}

/** The first row that the scored copy holds: rows of common groups are not scored. */
export function firstScored({ group }: ScoredPlan): number {
  return group ? group.common * group.size : 0;
}

/** Estimated scores, with the roundings that decide the order: those of the row scale, when tokens are int8. */
export interface Estimates {
  /** `[rows]`. */
  readonly scores: Float64Array;
  /** What a score of 1 counts, when tokens are int8: to order rows it need not be multiplied with. */
  readonly unit?: number;
}

export function estimateRows(plan: ScoredPlan, data: ReadonlyMap<string, DataView>): (x: Float32Array) => Estimates {
  const { estimator } = plan;
  if (estimator.kind !== "lowRank") return codedRows(plan, data);
  const narrow = { ...plan, inputs: estimator.rank, dtype: "bf16", estimator: estimator.rows } as const;
  const project = projector(plan, data);
  const estimate = estimator.rows.kind === "dense" ? factoredRows(narrow, data) : codedRows(narrow, data);
  return (x) => estimate(project(x));
}

/** A function from a token to its numbers on the basis. */
export function projector({ estimator, inputs }: ScoredPlan, data: ReadonlyMap<string, DataView>) {
  if (estimator.kind !== "lowRank") throw new Error("only a low-rank layer has a basis");
  const { rank, bits, activations } = estimator;
  const basis = data.get("basis")!;
  const stride = basis.byteLength / rank;
  const bf16 = readNumbers(basis, "bf16");
  const at =
    bits === 16
      ? (row: number, i: number) => bf16(row * stride + i * 2)
      : (row: number, i: number) => basis.getInt8(row * stride + i);
  return (x: Float32Array): Float64Array => {
    const integers = activations === "int8";
    const token = integers ? quantizeToken(x) : x;
    const scale = integers ? tokenScale(x) : 1;
    return Float64Array.from({ length: rank }, (_, row) => {
      let sum = 0;
      for (let i = 0; i < inputs; i++) sum += at(row, i) * token[i]!;
      const rowScale = bits === 16 ? 1 : data.get("basis_scales")!.getFloat32(row * 4, true);
      if (!integers) return sum * rowScale;
      const value = Math.fround(Math.fround(Math.fround(sum) * rowScale) * scale);
      return Math.abs(value) < 2 ** -126 ? 0 : value;
    });
  };
}

/** What the codes of a token count, as f32 has it; what is too small for it counts nothing. */
export function tokenScale(x: Float32Array | Float64Array): number {
  let largest = 0;
  for (const value of x) largest = Math.max(largest, Math.abs(value));
  const scale = Math.fround(largest * Math.fround(1 / 127));
  return scale < 2 ** -126 ? 0 : scale;
}

/** Scores of rows whose factors are bf16, in 16-byte steps. */
function factoredRows(plan: ScoredPlan, data: ReadonlyMap<string, DataView>) {
  const number = readNumbers(data.get("weights")!, "bf16");
  return (token: Float64Array): Estimates => {
    const scores = new Float64Array(plan.rows);
    for (let row = firstScored(plan); row < plan.rows; row++) {
      const { first, stride } = locate(plan, row, plan.tiling.steps);
      for (let i = 0; i < plan.inputs; i++) {
        scores[row]! += number((first + Math.floor(i / 8) * stride) * 16 + (i % 8) * 2) * token[i]!;
      }
    }
    return { scores };
  };
}

function codedRows(plan: ScoredPlan, data: ReadonlyMap<string, DataView>) {
  const { estimator, inputs, rows, tiling } = plan;
  if (estimator.kind !== "quantized") throw new Error("only a quantized layer has codes");
  const { bits, group, groups, activations } = estimator;
  const codes = data.get("codes")!;
  const scales = data.get("scales");
  const rowScales = data.get("row_scales")!;
  const readLevels = levelReader(bits, codes, data.get("low_codes"));
  const levels = new Int8Array(tiling.steps * codesPerStep(bits));
  const bounds = data.get("bounds");
  return (x: Float32Array | Float64Array): Estimates => {
    const token = activations === "int8" ? quantizeToken(x) : x;
    const norms = bounds && tokenNorms(plan, Float32Array.from(x));
    const scores = new Float64Array(rows);
    for (let row = firstScored(plan); row < rows; row++) {
      readLevels(locate(plan, row, tiling.steps), levels);
      const ofScales = locate(plan, row, Math.ceil(groups / 4));
      let sum = 0;
      for (let g = 0; g < groups; g++) {
        let dot = 0;
        const end = Math.min(inputs, (g + 1) * group);
        for (let column = g * group; column < end; column++) dot += levels[column]! * token[column]!;
        const scale = scales?.getUint8((ofScales.first + (g >> 2) * ofScales.stride) * 4 + (g & 3)) ?? 1;
        sum += scale * dot;
      }
      const place = locate(plan, row, 1).first;
      const rowScale = rowScales.getFloat32(place * 4, true);
      if (bounds && norms) {
        const bound = { error: bounds.getFloat32(place * 8, true), norm: bounds.getFloat32(place * 8 + 4, true) };
        scores[row] = upperScore(plan, sum, bound, norms, rowScale);
        continue;
      }
      scores[row] = activations === "int8" ? Math.fround(Math.fround(sum) * rowScale) : sum * rowScale;
    }
    return activations === "int8" ? { scores, unit: tokenScale(x) } : { scores };
  };
}

/** Codes per step of 16 bytes in all its planes, as the plan lays them out. */
function codesPerStep(bits: number): number {
  return bits === 8 ? 16 : 32;
}

/** Reads the numbers that a row's codes stand for, step by step, into `levels`. */
function levelReader(bits: number, codes: DataView, lowCodes: DataView | undefined) {
  type Place = ReturnType<typeof locate>;
  if (bits === 8) {
    return ({ first, stride }: Place, levels: Int8Array) => {
      for (let i = 0; i < levels.length; i++) levels[i] = codes.getInt8((first + (i >> 4) * stride) * 16 + (i & 15));
    };
  }
  const lower = bits < 4 ? bits - 2 : bits - 4;
  return ({ first, stride }: Place, levels: Int8Array) => {
    levels.fill(0);
    for (let begin = 0, step = first; begin < levels.length; begin += 32, step += stride) {
      addPlane(codes, bits - lower, step, lower, levels, begin);
      if (lowCodes) addPlane(lowCodes, lower, step, 0, levels, begin);
    }
    const above = 32 - bits;
    for (let i = 0; i < levels.length; i++) {
      const signed = (levels[i]! << above) >> above;
      levels[i] = bits < 4 ? 2 * signed + 1 : signed;
    }
  };
}

/** Adds `width` bits of the 32 columns of a step, shifted left by `shift`, to their codes from `begin` on. */
function addPlane(plane: DataView, width: number, step: number, shift: number, codes: Int8Array, begin: number): void {
  const mask = 2 ** width - 1;
  for (let word = 0; word < width; word++) {
    const bits = plane.getUint32((step * width + word) * 4, true);
    const first = begin + (word * 32) / width;
    // A byte holds every fourth column, the first one in its lowest bits.
    for (let i = 0; i < 32 / width; i++) {
      codes[first + i]! += ((bits >>> ((i & 3) * 8 + (i >> 2) * width)) & mask) << shift;
    }
  }
}

/** round(127 x / largest |x|), halves away from 0; all NaN when the token holds NaN or infinity. */
export function quantizeToken(x: Float32Array | Float64Array): Float64Array {
  let largest = 0;
  for (const value of x) {
    if (!Number.isFinite(value)) return new Float64Array(x.length).fill(Number.NaN);
    largest = Math.max(largest, Math.abs(value));
  }
  // float64 holds 127 |x| exactly, and no quotient of two f32 lies close enough to a half to be rounded across it.
  return Float64Array.from(x, (value) =>
    largest === 0 ? 0 : Math.sign(value) * Math.floor((127 * Math.abs(value)) / largest + 0.5),
  );
}
