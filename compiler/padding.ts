// How wide rows really are: padded so that whole 16-byte loads and whole groups cover them.

import type { CheckedScored } from "./model.ts";

/** Bytes that a lane loads at once. */
export const STEP_BYTES = 16;

export const DTYPE_BYTES = { f32: 4, f16: 2, bf16: 2 } as const;

/** Inputs of a scored row, and of a token's codes. */
export function paddedInputs({ inputs, estimator }: Pick<CheckedScored, "inputs" | "estimator">): number {
  // 32 codes of 4 bits fill a step; a token's int8 codes are padded alike.
  const unit = estimator.kind === "quantized" && estimator.group !== "row" ? estimator.group : 32;
  return Math.ceil(inputs / unit) * unit;
}

/** Elements of an exact row. */
export function exactStride({ inputs, dtype }: Pick<CheckedScored, "inputs" | "dtype">): number {
  return wholeChunks(inputs, dtype);
}

/** Elements, of which the last may be padding, that fill whole 16-byte chunks. */
export function wholeChunks(elements: number, dtype: CheckedScored["dtype"]): number {
  const unit = STEP_BYTES / DTYPE_BYTES[dtype];
  return Math.ceil(elements / unit) * unit;
}

/** Bytes of an exact row. */
export function exactRowBytes(layer: Pick<CheckedScored, "inputs" | "dtype">): number {
  return exactStride(layer) * DTYPE_BYTES[layer.dtype];
}
