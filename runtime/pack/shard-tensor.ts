// The part of a weight tensor that is a shard's.

import type { LayerPlan } from "../plan.ts";
import { globalRow } from "../shard-rows.ts";

/** The numbers, among those of the whole layer, of a shard's rows or neurons; undefined of a layer that is whole. */
export function shardRows(plan: LayerPlan): Uint32Array | undefined {
  const { shard, rows } = plan;
  if (!shard) return undefined;
  const spread = { ...shard, index: shard.index! };
  const size = plan.kind === "ffn" ? plan.group.size : 1;
  return Uint32Array.from({ length: rows }, (_, row) => {
    return globalRow(Math.floor(row / size), shard.choices, spread) * size + (row % size);
  });
}

/** Some rows of a tensor. @param bytes of the whole tensor, row by row. */
export function takeRows(bytes: Uint8Array, rowBytes: number, rows: Uint32Array): Uint8Array {
  const taken = new Uint8Array(rows.length * rowBytes);
  rows.forEach((row, i) => void taken.set(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), i * rowBytes));
  return taken;
}

/** Some columns of every row. */
export function takeColumns(
  bytes: Uint8Array,
  rowBytes: number,
  elementBytes: number,
  columns: Uint32Array,
): Uint8Array {
  const rows = bytes.byteLength / rowBytes;
  const each = columns.length * elementBytes;
  const taken = new Uint8Array(rows * each);
  for (let row = 0; row < rows; row++) {
    taken.set(takeRows(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), elementBytes, columns), row * each);
  }
  return taken;
}
