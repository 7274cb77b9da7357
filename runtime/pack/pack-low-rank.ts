// A low-rank estimator, built and laid out as its plan wants.

import { Matrix } from "ml-matrix";
import type { ScoredPlan, TensorPlan } from "../plan.ts";
import type { Activations } from "./activations.ts";
import { bestBasis, factorizer, secondMoments } from "./low-rank.ts";
import { emptyRow, quantizeRow } from "./quantize.ts";
import { rowReader, toBf16, type WeightMatrix } from "./weights.ts";

/**
 * Writes the basis, and gives the factors of every row.
 * @returns bf16 or f32 `[rows, rank]`; a row that holds NaN or infinity has NaN factors.
 */
export function packBasis(
  { estimator, inputs, tensors }: ScoredPlan,
  weights: WeightMatrix,
  data: ReadonlyMap<TensorPlan["role"], Uint8Array>,
  activations: Activations | undefined,
): WeightMatrix {
  if (estimator.kind !== "lowRank") throw new Error("only a low-rank estimator has a basis");
  const { rank, bits } = estimator;
  const moments = estimator.basis === "activations" ? secondMoments(activations!, inputs) : undefined;
  const stored = storeBasis({ estimator, tensors }, bestBasis(weights, rank, moments), data);
  const multiplier = factorizer(stored, moments);

  const dtype = bits === 16 ? "bf16" : "f32";
  const factors = new Float32Array(weights.rows * rank);
  const read = rowReader(weights);
  const row = new Float32Array(inputs);
  const columns = Array.from({ length: rank }, (_, i) => Float64Array.from(multiplier.getColumn(i)));
  for (let index = 0; index < weights.rows; index++) {
    read(index, row);
    columns.forEach((column, i) => {
      let sum = 0;
      for (let j = 0; j < inputs; j++) sum += row[j]! * column[j]!;
      factors[index * rank + i] = Number.isFinite(sum) ? sum : Number.NaN;
    });
  }
  const bytes = dtype === "bf16" ? Uint16Array.from(factors, toBf16) : factors;
  return { rows: weights.rows, inputs: rank, dtype, bytes: new Uint8Array(bytes.buffer) };
}

/** Writes a basis. @returns it as it is stored. */
export function storeBasis(
  { estimator, tensors }: Pick<ScoredPlan, "estimator" | "tensors">,
  basis: Matrix,
  data: ReadonlyMap<TensorPlan["role"], Uint8Array>,
): Matrix {
  const stride = tensors.find(({ role }) => role === "basis")!.shape[1]!;
  const isHalf = estimator.kind === "lowRank" && estimator.bits === 16;
  return isHalf ? storeHalves(basis, stride, data) : storeCodes(basis, stride, data);
}

function storeCodes(basis: Matrix, stride: number, data: ReadonlyMap<TensorPlan["role"], Uint8Array>): Matrix {
  const codes = data.get("basis")!;
  const scales = new DataView(data.get("basis_scales")!.buffer);
  const format = { bits: 8, group: basis.columns, groups: 1, scaleMax: 1 } as const;
  const row = emptyRow(format);
  const stored = Matrix.zeros(basis.rows, basis.columns);
  for (let i = 0; i < basis.rows; i++) {
    quantizeRow(Float32Array.from(basis.getRow(i)), format, row);
    codes.set(new Uint8Array(row.levels.buffer), i * stride);
    scales.setFloat32(i * 4, row.rowScale, true);
    stored.setRow(
      i,
      Array.from(row.levels, (level) => level * row.rowScale),
    );
  }
  return stored;
}

function storeHalves(basis: Matrix, stride: number, data: ReadonlyMap<TensorPlan["role"], Uint8Array>): Matrix {
  const view = new DataView(data.get("basis")!.buffer);
  const stored = Matrix.zeros(basis.rows, basis.columns);
  const float = new DataView(new ArrayBuffer(4));
  for (let i = 0; i < basis.rows; i++) {
    for (let j = 0; j < basis.columns; j++) {
      const half = toBf16(basis.get(i, j));
      view.setUint16((i * stride + j) * 2, half, true);
      float.setUint32(0, half << 16);
      stored.set(i, j, float.getFloat32(0));
    }
  }
  return stored;
}
