// One layer's weights, built and laid out as its plan wants.

import type { SoftmaxPlan, TensorPlan } from "../plan.ts";
import { emptyRow, type QuantizedRow, quantizeRow } from "./quantize.ts";
import { rowReader, WEIGHT_BYTES, type WeightMatrix } from "./weights.ts";

/** Bytes of one packed tensor of a layer. */
export interface PackedTensor extends TensorPlan {
  readonly data: Uint8Array;
}

/**
 * Builds every packed tensor of a layer.
 * @param onRow called after each row, for progress.
 * @param bias `[rows]` numbers of the layer's dtype, for a layer that has one.
 */
export function packLayer(
  plan: SoftmaxPlan,
  weights: WeightMatrix,
  onRow?: () => void,
  bias?: Uint8Array,
): PackedTensor[] {
  const data = new Map<TensorPlan["role"], Uint8Array>(
    plan.tensors.map(({ role, bytes }) => [role, new Uint8Array(bytes)]),
  );
  const exact = plan.tensors.find(({ role }) => role === "exact");
  const place = placer(plan);
  if (plan.estimator.kind === "dense") {
    placeWeights(plan, weights, place, data.get("weights")!, onRow);
  } else {
    placeCodes(plan, weights, place, data, onRow);
  }
  if (exact) data.set("exact", padRows(weights, exact.shape[1]!));
  if (plan.bias !== undefined) data.set("bias", asFloats(plan, bias!));
  return plan.tensors.map((tensor) => ({ ...tensor, data: data.get(tensor.role)! }));
}

/** Where a row lies: the number of its tile over all buckets, and its lane. */
type Placer = (row: number) => { readonly tile: number; readonly lane: number };

function placer({ selection: { buckets }, tiling: { tiles, lanes } }: SoftmaxPlan): Placer {
  return (row) => {
    const position = Math.floor(row / buckets);
    return { tile: (row % buckets) * tiles + Math.floor(position / lanes), lane: position % lanes };
  };
}

function placeWeights(
  { tiling: { steps, lanes } }: SoftmaxPlan,
  { rows, inputs, dtype, bytes }: WeightMatrix,
  place: Placer,
  into: Uint8Array,
  onRow?: () => void,
): void {
  const rowBytes = inputs * WEIGHT_BYTES[dtype];
  for (let row = 0; row < rows; row++) {
    const { tile, lane } = place(row);
    const source = bytes.subarray(row * rowBytes, (row + 1) * rowBytes);
    for (let step = 0; step < steps; step++) {
      into.set(source.subarray(step * 16, step * 16 + 16), ((tile * steps + step) * lanes + lane) * 16);
    }
    onRow?.();
  }
}

function placeCodes(
  { tiling: { lanes, steps }, estimator, tensors }: SoftmaxPlan,
  weights: WeightMatrix,
  place: Placer,
  data: ReadonlyMap<TensorPlan["role"], Uint8Array>,
  onRow?: () => void,
): void {
  if (estimator.kind !== "quantized") return;
  const codes = data.get("codes")!;
  const scales = data.get("scales");
  const rowScales = new DataView(data.get("row_scales")!.buffer);
  const scaleWords = tensors.find(({ role }) => role === "scales")?.shape[2] ?? 0;
  const packStep = estimator.bits === 4 ? packStep4 : packStep8;
  const read = rowReader(weights);
  const values = new Float32Array(estimator.group * estimator.groups);
  const row: QuantizedRow = emptyRow(estimator);
  for (let index = 0; index < weights.rows; index++) {
    read(index, values);
    quantizeRow(values, estimator, row);
    const { tile, lane } = place(index);
    for (let step = 0; step < steps; step++)
      packStep(row.codes, step, codes, ((tile * steps + step) * lanes + lane) * 16);
    for (let group = 0; scales && group < estimator.groups; group++) {
      const word = (tile * scaleWords + (group >> 2)) * lanes + lane;
      scales[word * 4 + (group & 3)] = row.scales[group]!;
    }
    rowScales.setFloat32((tile * lanes + lane) * 4, row.rowScale, true);
    onRow?.();
  }
}

/**
 * 32 codes of 4 bits. Of every 8 columns, byte i holds column i in its low half and column i + 4 in its high half: both
 * halves, each moved to the upper half of its byte, meet 4 adjacent int8 inputs in one integer dot product.
 */
function packStep4(codes: Int8Array, step: number, into: Uint8Array, at: number): void {
  for (let eight = 0; eight < 4; eight++) {
    const column = step * 32 + eight * 8;
    for (let i = 0; i < 4; i++) {
      into[at + eight * 4 + i] = (codes[column + i]! & 15) | ((codes[column + i + 4]! & 15) << 4);
    }
  }
}

/** 16 codes of 8 bits, in order. */
function packStep8(codes: Int8Array, step: number, into: Uint8Array, at: number): void {
  for (let i = 0; i < 16; i++) into[at + i] = codes[step * 16 + i]!;
}

/** The bias in f32. */
function asFloats({ rows, dtype }: SoftmaxPlan, bytes: Uint8Array): Uint8Array {
  const values = new Float32Array(rows);
  rowReader({ rows: 1, inputs: rows, dtype, bytes })(0, values);
  const floats = new DataView(new ArrayBuffer(rows * 4));
  values.forEach((value, row) => void floats.setFloat32(row * 4, value, true));
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
