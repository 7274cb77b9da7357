// Estimates of a low-rank copy. It takes only the basis and the factors from the packer, because choosing them is the
// packer's task.

import { packBasis } from "../../runtime/pack/pack-low-rank.ts";
import { rowReader } from "../../runtime/pack/weights.ts";
import type { ScoredPlan, TensorPlan } from "../../runtime/plan.ts";
import { encode, fromBits } from "./dtypes.ts";
import { quantizeRows, type RowEstimates, roundingOf, tokenCodes } from "./oracle.ts";

export function lowRankRows(plan: ScoredPlan, rows: readonly Float32Array[]): (x: Float32Array) => RowEstimates {
  const { estimator, inputs, dtype } = plan;
  if (estimator.kind !== "lowRank") throw new Error("only a low-rank layer has factors");
  const { rank, bits, activations } = estimator;
  const values = Float32Array.from(rows.flatMap((row) => [...row]));
  const data = new Map<TensorPlan["role"], Uint8Array>(
    plan.tensors.map(({ role, bytes }) => [role, new Uint8Array(bytes)]),
  );
  const matrix = { rows: rows.length, inputs, dtype, bytes: encode(values, dtype) };
  const stored = packBasis(plan, matrix, data, undefined);
  const read = rowReader(stored);
  const factors = rows.map((_, row) => {
    const into = new Float32Array(rank);
    read(row, into);
    return into;
  });
  const basis = basisRows(data, rank, bits, inputs);
  const narrow = { ...plan, inputs: rank, estimator: estimator.rows };
  const estimate = estimator.rows.kind === "dense" ? undefined : quantizeRows(narrow as ScoredPlan, factors);

  return (x) => {
    const integers = activations === "int8";
    const token = integers ? tokenCodes(x) : x;
    const largest = Math.max(...x.map(Math.abs));
    const scale = Math.fround(largest * Math.fround(1 / 127));
    const projected = new Float32Array(rank);
    const slack = new Float64Array(rank);
    basis.forEach(({ row, step }, i) => {
      let [sum, magnitude] = [0, 0];
      row.forEach((value, j) => {
        sum += value * token[j]!;
        magnitude += Math.abs(value * token[j]!) * step;
      });
      const product = Math.fround(Math.fround(Math.fround(sum) * step) * (scale < 2 ** -126 ? 0 : scale));
      projected[i] = integers ? (Math.abs(product) < 2 ** -126 ? 0 : product) : sum * step;
      slack[i] = integers ? 0 : roundingOf(inputs + 2, magnitude) + inputs * 2 ** -126;
    });
    if (estimate && integers) return estimate(projected);
    const found = estimate?.(projected) ?? dotRows(factors, projected);
    // What the projection is off, the estimates are off in turn, and by the rounding of what is projected here.
    factors.forEach((row, r) => {
      row.forEach((factor, i) => {
        const off = slack[i]! + 2 ** -23 * Math.abs(projected[i]!);
        found.estimateSlack[r]! += 2 * Math.abs(factor) * off;
      });
    });
    return found;
  };
}

function dotRows(rows: readonly Float32Array[], x: Float32Array): RowEstimates {
  const estimates = new Float64Array(rows.length);
  const estimateSlack = new Float64Array(rows.length);
  rows.forEach((row, r) => {
    let magnitude = 0;
    row.forEach((factor, i) => {
      estimates[r]! += factor * x[i]!;
      magnitude += Math.abs(factor * x[i]!);
    });
    estimateSlack[r] = roundingOf(row.length, magnitude) + row.length * 2 ** -125;
  });
  return { estimates, estimateSlack };
}

/** The basis as it is stored: whole numbers and what they count, or numbers. */
function basisRows(data: ReadonlyMap<string, Uint8Array>, rank: number, bits: number, inputs: number) {
  const view = new DataView(data.get("basis")!.buffer);
  const stride = view.byteLength / rank;
  return Array.from({ length: rank }, (_, i) => ({
    row: Float64Array.from({ length: inputs }, (_, j) =>
      bits === 16 ? fromBits(view.getUint16(i * stride + j * 2, true) << 16) : view.getInt8(i * stride + j),
    ),
    step: bits === 16 ? 1 : new DataView(data.get("basis_scales")!.buffer).getFloat32(i * 4, true),
  }));
}
