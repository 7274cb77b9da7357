// One layer's weights, built and laid out as its plan wants.

import type { ScoredMatrixPlan, ScoredPlan, SoftmaxPlan, TensorPlan } from "../plan.ts";
import { type Activations, meanSquares } from "./activations.ts";
import { rowBounds } from "./bounds.ts";
import { type CodeBits, codeFormat } from "./code-format.ts";
import { packBasis } from "./pack-low-rank.ts";
import { emptyRow, type QuantizedRow, quantizeRow } from "./quantize.ts";
import { rowReader, WEIGHT_BYTES, type WeightMatrix } from "./weights.ts";

/** Bytes of one packed tensor of a layer. */
export interface PackedTensor extends TensorPlan {
  readonly data: Uint8Array;
}

/**
 * Builds every packed tensor of a layer.
 * @param onRow called after each row, for progress.
 * @param activations recorded inputs, which decide what an error costs; all alike without.
 * @param bias `[rows]` numbers of the layer's dtype, for a layer that has one.
 */
export function packLayer(
  plan: SoftmaxPlan,
  weights: WeightMatrix,
  onRow?: () => void,
  activations?: Activations,
  bias?: Uint8Array,
): PackedTensor[] {
  const data = new Map<TensorPlan["role"], Uint8Array>(
    plan.tensors.map(({ role, bytes }) => [role, new Uint8Array(bytes)]),
  );
  const exact = plan.tensors.find(({ role }) => role === "exact");
  placeScored(plan, weights, data, activations, onRow);
  if (exact) data.set("exact", padRows(weights, exact.shape[1]!));
  if (plan.bias !== undefined) data.set("bias", asFloats({ count: plan.rows, dtype: plan.dtype, bytes: bias! }));
  return plan.tensors.map((tensor) => ({ ...tensor, data: data.get(tensor.role)! }));
}

/**
 * Builds the tensors that the scoring kernel reads.
 * @param data bytes by role, all zeros before.
 * @param activations recorded inputs, which decide what an error costs; all alike without.
 */
export function placeScored(
  plan: ScoredPlan,
  weights: WeightMatrix,
  data: ReadonlyMap<TensorPlan["role"], Uint8Array>,
  activations?: Activations,
  onRow?: () => void,
): void {
  const place = placer(plan);
  const { estimator } = plan;
  if (estimator.kind === "dense") placeWeights(plan, weights, place, data.get("weights")!, onRow);
  else if (estimator.kind === "quantized") {
    const importance = activations && meanSquares(activations, plan.inputs);
    placeCodes(plan, estimator, weights, place, data, importance, onRow);
  } else {
    const factors = packBasis(plan, weights, data, activations);
    if (estimator.rows.kind === "dense") placeWeights(plan, factors, place, data.get("weights")!, onRow);
    else placeCodes(plan, estimator.rows, factors, place, data, undefined, onRow);
  }
}

/** Where a row lies: the number of its tile over all buckets, and its lane. */
type Placer = (row: number) => { readonly tile: number; readonly lane: number } | undefined;

/** Rows of common groups have no place: they are not scored. */
function placer({ selection: { buckets }, tiling: { tiles, lanes }, group }: ScoredPlan): Placer {
  const { size, common } = group ?? { size: 1, common: 0 };
  const perTile = Math.floor(lanes / size);
  return (row) => {
    const choice = Math.floor(row / size) - common;
    if (choice < 0) return undefined;
    const position = Math.floor(choice / buckets);
    return {
      tile: (choice % buckets) * tiles + Math.floor(position / perTile),
      lane: (position % perTile) * size + (row % size),
    };
  };
}

function placeWeights(
  { tiling: { steps, lanes } }: ScoredPlan,
  { rows, inputs, dtype, bytes }: WeightMatrix,
  place: Placer,
  into: Uint8Array,
  onRow?: () => void,
): void {
  const rowBytes = inputs * WEIGHT_BYTES[dtype];
  for (let row = 0; row < rows; row++) {
    onRow?.();
    const at = place(row);
    if (!at) continue;
    const source = bytes.subarray(row * rowBytes, (row + 1) * rowBytes);
    for (let step = 0; step < steps; step++) {
      into.set(source.subarray(step * 16, step * 16 + 16), ((at.tile * steps + step) * lanes + at.lane) * 16);
    }
  }
}

function placeCodes(
  { tiling: { lanes, steps }, tensors }: ScoredPlan,
  estimator: ScoredMatrixPlan & { readonly kind: "quantized" },
  weights: WeightMatrix,
  place: Placer,
  data: ReadonlyMap<TensorPlan["role"], Uint8Array>,
  importance: Float32Array | undefined,
  onRow?: () => void,
): void {
  const codes = data.get("codes")!;
  const lowCodes = data.get("low_codes");
  const scales = data.get("scales");
  const rowScales = new DataView(data.get("row_scales")!.buffer);
  const bounds = data.get("bounds");
  const boundsView = bounds && new DataView(bounds.buffer);
  const scaleWords = tensors.find(({ role }) => role === "scales")?.shape[2] ?? 0;
  const pack = stepPacker(estimator.bits);
  const stepBytes = codes.byteLength / (tensors.find(({ role }) => role === "row_scales")!.bytes / 4) / steps;
  const lowStepBytes = (lowCodes?.byteLength ?? 0) / (codes.byteLength / stepBytes);
  const read = rowReader(weights);
  const values = new Float32Array(estimator.group * estimator.groups);
  const row: QuantizedRow = emptyRow(estimator);
  const padded = importance && new Float32Array(values.length);
  padded?.set(importance!);
  for (let index = 0; index < weights.rows; index++) {
    onRow?.();
    const at = place(index);
    if (!at) continue;
    const { tile, lane } = at;
    read(index, values);
    quantizeRow(values, estimator, row, padded);
    for (let step = 0; step < steps; step++) {
      const number = (tile * steps + step) * lanes + lane;
      pack(row.levels, step, codes, number * stepBytes, lowCodes, number * lowStepBytes);
    }
    for (let group = 0; scales && group < estimator.groups; group++) {
      const word = (tile * scaleWords + (group >> 2)) * lanes + lane;
      scales[word * 4 + (group & 3)] = row.scales[group]!;
    }
    rowScales.setFloat32((tile * lanes + lane) * 4, row.rowScale, true);
    if (boundsView) {
      const { error, norm } = rowBounds(values, estimator, row);
      boundsView.setFloat32((tile * lanes + lane) * 8, error, true);
      boundsView.setFloat32((tile * lanes + lane) * 8 + 4, norm, true);
    }
  }
}

type StepPacker = (
  levels: Int8Array,
  step: number,
  codes: Uint8Array,
  at: number,
  lowCodes: Uint8Array | undefined,
  lowAt: number,
) => void;

/**
 * 16 codes of 8 bits, in order; or 32 of fewer bits, of which the upper ones go into one plane and the rest into another.
 * A plane of n bits is made of words of 8 / n quads, four adjacent columns each: byte i of a word holds column i of each of
 * its quads, the first quad in the lowest bits. So a shift and a mask give four bytes that meet four adjacent inputs.
 */
function stepPacker(bits: CodeBits): StepPacker {
  const { main, low, odd } = codeFormat(bits);
  if (bits === 8) {
    return (levels, step, codes, at) => {
      for (let i = 0; i < 16; i++) codes[at + i] = levels[step * 16 + i]!;
    };
  }
  return (levels, step, codes, at, lowCodes, lowAt) => {
    for (let i = 0; i < 32; i++) {
      const level = levels[step * 32 + i]!;
      const code = odd ? (level - 1) / 2 : level;
      place(codes, at, i, main, code >> low);
      if (lowCodes) place(lowCodes, lowAt, i, low, code);
    }
  };
  function place(plane: Uint8Array, at: number, column: number, width: number, code: number): void {
    const quad = column >> 2;
    const quadsPerWord = 8 / width;
    const byte = at + Math.floor(quad / quadsPerWord) * 4 + (column & 3);
    plane[byte] = plane[byte]! | ((code & (2 ** width - 1)) << (width * (quad % quadsPerWord)));
  }
}

/** A bias in f32, given as `count` numbers of a layer's dtype. */
export function asFloats({ count, ...bias }: Pick<WeightMatrix, "dtype" | "bytes"> & { readonly count: number }) {
  const values = new Float32Array(count);
  rowReader({ rows: 1, inputs: count, ...bias })(0, values);
  const floats = new DataView(new ArrayBuffer(count * 4));
  values.forEach((value, i) => void floats.setFloat32(i * 4, value, true));
  return new Uint8Array(floats.buffer);
}

/** The exact rows, each padded with zeros to `stride` elements; the same bytes when nothing is to be padded. */
function padRows({ rows, inputs, dtype, bytes }: WeightMatrix, stride: number): Uint8Array {
  if (stride === inputs) return bytes;
  const width = WEIGHT_BYTES[dtype];
  const padded = new Uint8Array(rows * stride * width);
  for (let row = 0; row < rows; row++) {
    padded.set(bytes.subarray(row * inputs * width, (row + 1) * inputs * width), row * stride * width);
  }
  return padded;
}
