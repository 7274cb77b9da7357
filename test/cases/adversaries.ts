// Weights and tokens that break selections which random numbers do not: ties, orders, special values, and scores that
// share their leading bits. Every one is exact in f32; the layers that meet them have at least 100 rows and 8 inputs.

import { fromBits } from "./dtypes.ts";
import { changed, each, firstColumn, integers, powers } from "./fills.ts";
import { integer, permutation } from "./random.ts";
import type { Fill, SoftmaxCase } from "./softmax-case.ts";

type Adversary = Pick<SoftmaxCase, "name" | "weights" | "inputs">;

const { NaN: NAN, POSITIVE_INFINITY: INFINITY, NEGATIVE_INFINITY } = Number;
const LARGEST_FLOAT = fromBits(0x7f7fffff);
const SMALLEST_NORMAL = 2 ** -126;

const small = integers(3);

/** A power of two, so that small changes of its bits stay exact products; the order of the rows is random. */
function shuffledBits(first: number, count: number): Fill {
  return ({ rows, columns, data }, random) => {
    permutation(random, rows).forEach((place, row) => {
      data[row * columns] = fromBits(first + (place % count));
    });
  };
}

export const ADVERSARIES: readonly Adversary[] = [
  {
    name: "few distinct scores, so most tie",
    weights: each((_r, c, random) => (c < 3 ? integer(random, -1, 1) : 0)),
    inputs: small,
  },
  { name: "all scores equal", weights: each((_row, column) => (column % 5) - 2), inputs: small },
  { name: "scores ascending", weights: firstColumn((row) => row + 1), inputs: powers },
  { name: "scores descending", weights: firstColumn((row, _random, rows) => rows - row), inputs: powers },
  { name: "two distinct scores", weights: firstColumn((_row, random) => (random() < 0.03 ? 7 : -5)), inputs: powers },
  { name: "scores that alternate in sign", weights: firstColumn((row) => (row % 2 ? -row : row)), inputs: powers },
  // vLLM's tests/kernels/test_top_k_per_row.py: only the last 10 bits differ, so the first radix rounds sort out nothing
  // and one bin holds far more survivors than there are candidates.
  { name: "scores that share their upper 22 bits", weights: shuffledBits(0x3f900000, 1024), inputs: powers },
  { name: "scores that differ in the last byte only", weights: shuffledBits(0x3f800000, 256), inputs: powers },
  { name: "scores that differ in the last bit only", weights: shuffledBits(0x42424242, 2), inputs: powers },
  {
    name: "NaN in some weight rows",
    weights: changed(small, (set) => [3, 64, 65, 97].forEach((row) => void set(row, 5, NAN))),
    inputs: small,
  },
  {
    // No row is worse than another for such a token, not even one without NaN.
    name: "NaN in some weight rows and in one token",
    weights: changed(small, (set) => [300, 400].forEach((row) => void set(row, 2, NAN))),
    inputs: changed(small, (set) => set(1, 6, NAN)),
  },
  {
    name: "NaN in every weight row",
    weights: changed(
      each(() => NAN),
      () => {},
    ),
    inputs: small,
  },
  {
    name: "NaN in one token of several",
    weights: small,
    inputs: changed(small, (set) => set(1, 6, NAN)),
  },
  {
    name: "infinities in some weight rows",
    weights: changed(small, (set) => {
      for (const row of [2, 66, 90]) set(row, 0, INFINITY);
      for (const row of [5, 67, 91]) set(row, 0, NEGATIVE_INFINITY);
      // Opposite infinities add up to NaN.
      set(70, 0, INFINITY);
      set(70, 1, NEGATIVE_INFINITY);
    }),
    inputs: each((_token, _column, random) => integer(random, 1, 3)),
  },
  {
    name: "infinities in tokens",
    weights: small,
    inputs: changed(small, (set) => {
      set(0, 2, INFINITY);
      set(1, 7, NEGATIVE_INFINITY);
      set(1, 0, INFINITY);
    }),
  },
  { name: "all scores -infinity", weights: firstColumn(() => NEGATIVE_INFINITY), inputs: firstColumn(() => 1) },
  {
    name: "scores mostly -infinity",
    weights: firstColumn((row, random) => (random() < 0.9 ? NEGATIVE_INFINITY : row)),
    inputs: firstColumn(() => 1),
  },
  {
    name: "zeros of both signs",
    weights: firstColumn((row) => [0, -0, -1, 0, 2][row % 5]! * (row % 7 === 0 ? 1 : 0)),
    inputs: powers,
  },
  {
    name: "subnormal scores among the smallest normal ones",
    weights: firstColumn((row) => [1, -1, 0.5, -0.5, 2 ** -23, 0, -0, 1.5, 1 - 2 ** -23][row % 9]! * SMALLEST_NORMAL),
    inputs: firstColumn((token) => (token % 2 ? -1 : 1)),
  },
  {
    // Their codes are as good as any token's, though every score counts as 0.
    name: "subnormal tokens",
    weights: each((row, column, random) => (column < 3 ? integer(random, -50, 50) + row / 8 : 0)),
    inputs: each((token, column) => (column < 3 ? (token + 1) * [9, 5, -2][column]! * 2 ** -149 : 0)),
  },
  {
    name: "the largest and smallest floats",
    weights: firstColumn((row) => [LARGEST_FLOAT, -LARGEST_FLOAT, SMALLEST_NORMAL, -SMALLEST_NORMAL, 1, -1][row % 6]!),
    inputs: firstColumn((token) => (token % 2 ? -1 : 1)),
  },
  {
    name: "zero tokens",
    weights: small,
    inputs: each((token, _c, random) => (token % 2 ? integer(random, -3, 3) : 0)),
  },
  { name: "zero rows", weights: each((row, _c, random) => (row % 4 ? 0 : integer(random, -3, 3))), inputs: small },
  { name: "zero rows and zero tokens", weights: each(() => 0), inputs: each(() => 0) },
];
