// Estimated scores in float64, from the packed copy.

import type { ScoredPlan } from "../plan.ts";
import { tokenNorms, upperScore } from "./certificate.ts";

/** Where row `row` lies in a tensor of `[buckets, tiles, parts, lanes]`: the offset of part 0, and from part to part. */
export function locate({ selection: { buckets }, tiling: { tiles, lanes } }: ScoredPlan, row: number, parts: number) {
  const position = Math.floor(row / buckets);
  const tile = Math.floor(position / lanes);
  return { first: ((row % buckets) * tiles + tile) * parts * lanes + (position % lanes), stride: lanes };
}

/**
 * Estimated scores, with the roundings that decide the order: those of the row scale, when tokens are int8. Of a layer that
 * is certified they are the largest scores that rows may have.
 */
export function estimateRows(plan: ScoredPlan, data: ReadonlyMap<string, DataView>) {
  const { estimator, inputs, rows, tiling } = plan;
  if (estimator.kind !== "quantized") throw new Error("only a quantized layer has codes");
  const { bits, group, groups, activations } = estimator;
  const codes = data.get("codes")!;
  const scales = data.get("scales");
  const rowScales = data.get("row_scales")!;
  const bounds = data.get("bounds");
  const code = (first: number, stride: number, column: number): number => {
    if (bits === 8) return codes.getInt8((first + Math.floor(column / 16) * stride) * 16 + (column % 16));
    const byte = codes.getUint8(
      (first + Math.floor(column / 32) * stride) * 16 + Math.floor((column % 32) / 8) * 4 + (column % 4),
    );
    const nibble = column % 8 < 4 ? byte & 15 : byte >> 4;
    return nibble > 7 ? nibble - 16 : nibble;
  };
  return (x: Float32Array): Float64Array => {
    const token = activations === "int8" ? quantizeToken(x) : x;
    const norms = bounds && tokenNorms(plan, x);
    const scores = new Float64Array(rows);
    for (let row = 0; row < rows; row++) {
      const ofCodes = locate(plan, row, tiling.steps);
      const ofScales = locate(plan, row, Math.ceil(groups / 4));
      let sum = 0;
      for (let g = 0; g < groups; g++) {
        let dot = 0;
        for (let column = g * group; column < Math.min(inputs, (g + 1) * group); column++) {
          dot += code(ofCodes.first, ofCodes.stride, column) * token[column]!;
        }
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
    return scores;
  };
}

/** round(127 x / largest |x|), halves away from 0; all NaN when the token holds NaN or infinity. */
function quantizeToken(x: Float32Array): Float64Array {
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
