// A low-rank copy: a basis of few rows, onto which tokens are projected, and for every row of the weights its factors on
// that basis. The factors are those of least error for the basis as it is stored, after its own quantization.

import { EigenvalueDecomposition, Matrix, QrDecomposition, solve } from "ml-matrix";
import type { WeightMatrix } from "./weights.ts";
import { rowReader } from "./weights.ts";

/** Rows that the basis of the weights is made from: all, or so many spread evenly over more. */
const MOST_ROWS = 32_768;

/** Share of the mean variance that is added to each input's, so that inputs which were never seen count a little. */
const RIDGE = 1e-3;

/**
 * The best basis of `rank` orthonormal rows, f64 `[rank, inputs]`.
 * @param moments mean products of inputs, f64 `[inputs, inputs]`, of recorded activations. Without it every direction counts
 * alike, and the rows are the right singular vectors of the weights with the largest singular values (Eckart and Young);
 * with it they span those of `W · C^(1/2)`, mapped back: then the mean square of the scores' error is least.
 */
export function bestBasis(weights: WeightMatrix, rank: number, moments?: Matrix): Matrix {
  return basesOf(gramOf(weights), moments)(rank);
}

/** Best bases of any rank, by one decomposition. @param gram of the weights, see `gramOf`. */
export function basesOf(gram: Matrix, moments?: Matrix): (rank: number) => Matrix {
  if (!moments) {
    const { vectors } = eigenvectors(gram);
    return (rank) => firstRows(vectors, rank);
  }
  const { values, vectors } = eigenvectors(moments);
  const power = (exponent: number) => {
    const scaled = vectors.clone();
    values.forEach((value, i) => void scaled.mulRow(i, value ** exponent));
    return vectors.transpose().mmul(scaled);
  };
  const root = power(0.5);
  const whitened = root.mmul(gram).mmul(root);
  const principal = eigenvectors(symmetric(whitened)).vectors;
  const inverse = power(-0.5);
  return (rank) => {
    const directions = firstRows(principal, rank).mmul(inverse);
    const { orthogonalMatrix } = new QrDecomposition(directions.transpose());
    return withSigns(orthogonalMatrix.transpose());
  };
}

/** Mean products of inputs, f64 `[inputs, inputs]`. @param x `[tokens, inputs]`. */
export function secondMoments(x: Float32Array, inputs: number): Matrix {
  const tokens = x.length / inputs;
  const moments = productSums(inputs, tokens, (token, into) =>
    into.set(x.subarray(token * inputs, (token + 1) * inputs)),
  );
  moments.div(tokens);
  const ridge = (RIDGE * moments.trace()) / inputs || 1;
  for (let i = 0; i < inputs; i++) moments.set(i, i, moments.get(i, i) + ridge);
  return moments;
}

/**
 * What a row of weights has to be multiplied with to give its factors, f64 `[inputs, rank]`: those of least error on this
 * basis, whose rows need not be orthonormal any more.
 */
export function factorizer(basis: Matrix, moments?: Matrix): Matrix {
  const weighted = moments ? basis.mmul(moments) : basis;
  return solve(weighted.mmul(basis.transpose()), weighted).transpose();
}

/** Sums of the products of the columns of the weights. Rows with NaN or infinity are left out. */
export function gramOf(weights: WeightMatrix): Matrix {
  const { rows, inputs } = weights;
  const read = rowReader(weights);
  const row = new Float32Array(inputs);
  const step = Math.max(1, rows / MOST_ROWS);
  return productSums(inputs, Math.min(rows, MOST_ROWS), (index, into) => {
    read(Math.floor(index * step), row);
    if (row.every(Number.isFinite)) into.set(row);
    else into.fill(0);
  });
}

/** Rows that are multiplied at a time; more at once would not lie in a cache. */
const BLOCK = 64;

function productSums(columns: number, count: number, read: (index: number, into: Float64Array) => void): Matrix {
  const sums = new Float64Array(columns * columns);
  const block = Array.from({ length: BLOCK }, () => new Float64Array(columns));
  for (let first = 0; first < count; first += BLOCK) {
    const size = Math.min(BLOCK, count - first);
    for (let i = 0; i < size; i++) read(first + i, block[i]!);
    for (let i = 0; i < columns; i++) {
      const into = sums.subarray(i * columns, (i + 1) * columns);
      for (let r = 0; r < size; r++) {
        const row = block[r]!;
        const factor = row[i]!;
        if (factor !== 0) for (let j = i; j < columns; j++) into[j]! += factor * row[j]!;
      }
    }
  }
  const matrix = Matrix.from1DArray(columns, columns, sums);
  for (let i = 0; i < columns; i++) for (let j = 0; j < i; j++) matrix.set(i, j, matrix.get(j, i));
  return matrix;
}

/** Eigenvalues, largest first and none below 0, and eigenvectors as rows. */
function eigenvectors(matrix: Matrix): { readonly values: number[]; readonly vectors: Matrix } {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, { assumeSymmetric: true });
  const order = realEigenvalues.map((_, i) => i).sort((a, b) => realEigenvalues[b]! - realEigenvalues[a]!);
  const vectors = new Matrix(order.map((column) => eigenvectorMatrix.getColumn(column)));
  return { values: order.map((i) => Math.max(realEigenvalues[i]!, Number.MIN_VALUE)), vectors: withSigns(vectors) };
}

function symmetric(matrix: Matrix): Matrix {
  return matrix.add(matrix.transpose()).mul(0.5);
}

function firstRows(matrix: Matrix, count: number): Matrix {
  return matrix.subMatrix(0, count - 1, 0, matrix.columns - 1);
}

/** A direction has two vectors; the one whose largest component is positive, so that packs are the same everywhere. */
function withSigns(rows: Matrix): Matrix {
  for (let i = 0; i < rows.rows; i++) {
    const row = rows.getRow(i);
    const largest = row.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
    if (largest < 0) rows.mulRow(i, -1);
  }
  return rows;
}
