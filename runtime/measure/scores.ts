// Scores of all rows for all tokens, exact and estimated, block of rows by block of rows.

import { blockReader, type WeightMatrix } from "../pack/weights.ts";
import type { CopyBlock, EstimatorCopy } from "./copy.ts";
import type { Product } from "./product.ts";

/** Numbers of weights that are unpacked at a time: 32 MB. */
const BLOCK = 1 << 23;

/** Called with the rows that were done since the last call. */
export type OnRows = (rows: number) => void;

/** f32 `[tokens, rows]` in units of rows and tokens: the estimate of a row is its sum times both. */
export interface EstimatedScores {
  readonly sums: Float32Array;
  readonly rowScales: Float32Array;
  readonly copy: EstimatorCopy;
  /** `[rows, 2]`, of a certified layer. */
  readonly bounds?: Float32Array;
}

/** @param x `[tokens, inputs]`. @returns f32 `[tokens, rows]`. */
export async function exactScores(
  weights: WeightMatrix,
  x: Float32Array,
  product: Product,
  onRows: OnRows = () => {},
): Promise<Float32Array> {
  const { rows, inputs } = weights;
  const read = blockReader(weights);
  return inBlocks(rows, inputs, { x, product, onRows }, async (first, values) =>
    read(first, values.length / inputs, values),
  );
}

export async function estimatedScores(
  copy: EstimatorCopy,
  rows: number,
  product: Product,
  onRows: OnRows = () => {},
): Promise<EstimatedScores> {
  const { width } = copy;
  const rowScales = new Float32Array(rows);
  const bounds = copy.norms && new Float32Array(rows * 2);
  const sums = await inBlocks(rows, width, { x: copy.tokens, product, onRows }, (first, values) => {
    const last = first + values.length / width;
    const block: CopyBlock = {
      values,
      rowScales: rowScales.subarray(first, last),
      ...(bounds && { bounds: bounds.subarray(first * 2, last * 2) }),
    };
    return copy.read(first, block);
  });
  return { sums, rowScales, copy, ...(bounds && { bounds }) };
}

async function inBlocks(
  rows: number,
  width: number,
  { x, product, onRows }: { readonly x: Float32Array; readonly product: Product; readonly onRows: OnRows },
  read: (first: number, values: Float32Array) => Promise<void>,
): Promise<Float32Array> {
  const tokens = x.length / width;
  const most = Math.max(1, Math.floor(BLOCK / width));
  const scores = new Float32Array(tokens * rows);
  // One block is made while the one before is multiplied.
  const buffers = [0, 1].map(() => new Float32Array(Math.min(rows, most) * width));
  let pending: Promise<void> = Promise.resolve();
  for (let first = 0, turn = 0; first < rows; first += most, turn ^= 1) {
    const count = Math.min(most, rows - first);
    const values = buffers[turn]!.subarray(0, count * width);
    await read(first, values);
    await pending;
    pending = product.multiply(x, values, { rowsOfA: tokens, rowsOfB: count, inputs: width }).then((block) => {
      for (let token = 0; token < tokens; token++) {
        scores.set(block.subarray(token * count, (token + 1) * count), token * rows + first);
      }
      onRows(count);
    });
  }
  await pending;
  return scores;
}
