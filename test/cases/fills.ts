// Ways to fill a matrix.

import { integer, normal, type Random } from "./random.ts";
import type { Fill } from "./softmax-case.ts";

/** Every element from its row and column. */
export function each(value: (row: number, column: number, random: Random, rows: number) => number): Fill {
  return ({ rows, columns, data }, random) => {
    for (let i = 0; i < data.length; i++) data[i] = value(Math.floor(i / columns), i % columns, random, rows);
  };
}

/** Standard normal numbers. */
export const normals: Fill = each((_row, _column, random) => normal(random));

/** Whole numbers up to `most` in magnitude: their sums of products are exact in every order. */
export function integers(most: number): Fill {
  return each((_row, _column, random) => integer(random, -most, most));
}

/** Numbers in the first column only, so that a token (t, 0, 0, …) scores row r with exactly t · value(r). */
export function firstColumn(value: (row: number, random: Random, rows: number) => number): Fill {
  return each((row, column, random, rows) => (column === 0 ? value(row, random, rows) : 0));
}

/** Tokens (1, 0, 0, …), (-1, 0, 0, …), (2, 0, 0, …) and over again. */
export const powers: Fill = firstColumn((token) => [1, -1, 2][token % 3]!);

/** One fill, then changes to single elements. */
export function changed(fill: Fill, change: (set: (row: number, column: number, value: number) => void) => void): Fill {
  return (matrix, random) => {
    fill(matrix, random);
    change((row, column, value) => {
      matrix.data[row * matrix.columns + column] = value;
    });
  };
}
