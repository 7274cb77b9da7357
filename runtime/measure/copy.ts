// The cheap copy of a layer as numbers: what its packed codes stand for, and what tokens are multiplied with. The codes are
// the packer's own; only their places in a pack are left out.

import type { Matrix } from "ml-matrix";
import { type Activations, meanSquares } from "../pack/activations.ts";
import { rowBounds } from "../pack/bounds.ts";
import { basesOf, factorizer, gramOf, secondMoments } from "../pack/low-rank.ts";
import { storeBasis } from "../pack/pack-low-rank.ts";
import { emptyRow, quantizeRow } from "../pack/quantize.ts";
import { bf16ToF32, blockReader, toBf16, type WeightMatrix } from "../pack/weights.ts";
import type { ScoredMatrixPlan, ScoredPlan, TensorPlan } from "../plan.ts";
import { type TokenNorms, tokenNorms } from "../reference/certificate.ts";
import { projector, quantizeToken, tokenScale } from "../reference/estimates.ts";
import type { Product } from "./product.ts";

export interface EstimatorCopy {
  /** Numbers per row and token. */
  readonly width: number;
  /** What rows are multiplied with, `[tokens, width]`. */
  readonly tokens: Float32Array;
  /** What a score of 1 counts, per token. */
  readonly units: Float64Array;
  /** Of a certified layer, per token. */
  readonly norms?: readonly TokenNorms[];
  /** Writes rows from `first` on, and of each its scale and, of a certified layer, its bounds `[rows, 2]`. */
  read(first: number, into: CopyBlock): Promise<void>;
}

export interface CopyBlock {
  /** `[rows, width]`. */
  readonly values: Float32Array;
  /** `[rows]`. */
  readonly rowScales: Float32Array;
  readonly bounds?: Float32Array;
}

/** What estimators of one layer have in common, each made when it is first asked for. */
export interface SharedBases {
  /** Best bases of any rank. @param fit recorded inputs, for a basis made from them. */
  of(basis: "weights" | "activations", fit: Activations): (rank: number) => Matrix;
}

export function shareBases(weights: WeightMatrix): SharedBases {
  let gram: Matrix | undefined;
  const known = new Map<string, (rank: number) => Matrix>();
  return {
    of: (basis, fit) => {
      if (!known.has(basis)) {
        gram ??= gramOf(weights);
        known.set(basis, basesOf(gram, basis === "activations" ? secondMoments(fit, weights.inputs) : undefined));
      }
      return known.get(basis)!;
    },
  };
}

/**
 * @param plan of a layer with a quantized or low-rank estimator.
 * @param x the tokens to be estimated, `[tokens, inputs]`.
 * @param fit recorded inputs that roundings and bases are fitted to, as `hirec pack --activations` does.
 */
export function copyOf(
  plan: ScoredPlan,
  weights: WeightMatrix,
  x: Float32Array,
  fit: Activations,
  bases: SharedBases,
  product: Product,
): EstimatorCopy {
  const { estimator, inputs } = plan;
  if (estimator.kind === "dense") throw new Error("a dense layer has no copy");
  if (estimator.kind === "quantized") {
    const read = blockReader(weights);
    const reader = async (first: number, { values, rowScales }: CopyBlock) =>
      read(first, rowScales.length, values.subarray(0, rowScales.length * inputs));
    const tokens = asCodes(x, inputs, estimator.activations === "int8");
    const norms = plan.certificate?.slack && tokensOf(x, inputs).map((token) => tokenNorms(plan, token));
    const importance = meanSquares(fit, inputs);
    return {
      ...{ width: inputs, ...tokens, ...(norms && { norms }) },
      read: codedReader(estimator, inputs, reader, importance),
    };
  }
  const data = new Map<TensorPlan["role"], Uint8Array>(
    plan.tensors.map((t) => [t.role, new Uint8Array(basisBytes(t))]),
  );
  const moments = estimator.basis === "activations" ? secondMoments(fit, inputs) : undefined;
  const basis = storeBasis(plan, bases.of(estimator.basis, fit)(estimator.rank), data);
  const multiplier = Float32Array.from(factorizer(basis, moments).transpose().to1DArray());
  const project = projector(plan, new Map([...data].map(([role, bytes]) => [role, new DataView(bytes.buffer)])));
  const projected = new Float32Array((x.length / inputs) * estimator.rank);
  tokensOf(x, inputs).forEach((token, i) => void projected.set(project(token), i * estimator.rank));
  const readFactors = factorReader(weights, multiplier, estimator.rank, product);
  if (estimator.rows.kind === "dense") {
    return {
      ...{ width: estimator.rank, ...asCodes(projected, estimator.rank, false) },
      read: async (first, block) => {
        await readFactors(first, block);
        block.values.set(block.values.map((value) => bf16ToF32(toBf16(value))));
        block.rowScales.fill(1);
      },
    };
  }
  const tokens = asCodes(projected, estimator.rank, estimator.rows.activations === "int8");
  return { width: estimator.rank, ...tokens, read: codedReader(estimator.rows, estimator.rank, readFactors) };
}

/** Only the basis is stored here; the codes of the rows are made block by block. */
function basisBytes({ role, bytes }: TensorPlan): number {
  return role === "basis" || role === "basis_scales" ? bytes : 0;
}

function tokensOf(x: Float32Array, inputs: number): Float32Array[] {
  return Array.from({ length: x.length / inputs }, (_, token) => x.subarray(token * inputs, (token + 1) * inputs));
}

/** Tokens as rows meet them, and what the results count. */
function asCodes(x: Float32Array, inputs: number, integers: boolean) {
  const count = x.length / inputs;
  if (!integers) return { tokens: x, units: new Float64Array(count).fill(1) };
  const tokens = new Float32Array(x.length);
  const units = new Float64Array(count);
  tokensOf(x, inputs).forEach((token, i) => {
    tokens.set(quantizeToken(token), i * inputs);
    units[i] = tokenScale(token);
  });
  return { tokens, units };
}

type BlockReader = (first: number, block: CopyBlock) => Promise<void>;

/** Rows of numbers become what their codes stand for, in units of the row's scale. */
function codedReader(
  format: ScoredMatrixPlan & { readonly kind: "quantized" },
  width: number,
  read: BlockReader,
  importance?: Float32Array,
): BlockReader {
  const { group, groups } = format;
  const weights = new Float32Array(group * groups);
  const padded = importance && new Float32Array(weights.length);
  padded?.set(importance!);
  const row = emptyRow(format);
  return async (first, block) => {
    await read(first, block);
    const { values, rowScales, bounds } = block;
    for (let i = 0; i < rowScales.length; i++) {
      const own = values.subarray(i * width, (i + 1) * width);
      weights.set(own);
      quantizeRow(weights, format, row, padded);
      rowScales[i] = row.rowScale;
      for (let g = 0, at = 0; g < groups; g++) {
        const scale = row.scales[g]!;
        for (const end = Math.min(width, at + group); at < end; at++) own[at] = row.levels[at]! * scale;
      }
      if (bounds) {
        const { error, norm } = rowBounds(weights, format, row);
        bounds[i * 2] = error;
        bounds[i * 2 + 1] = norm;
      }
    }
  };
}

/** Factors of rows on a basis, `[rows, rank]`; those of a row that holds NaN or infinity are NaN. */
function factorReader(weights: WeightMatrix, multiplier: Float32Array, rank: number, product: Product): BlockReader {
  const { inputs } = weights;
  const read = blockReader(weights);
  let rows = new Float32Array();
  return async (first, { values, rowScales }) => {
    const count = rowScales.length;
    if (rows.length < count * inputs) rows = new Float32Array(count * inputs);
    const block = rows.subarray(0, count * inputs);
    read(first, count, block);
    const factors = await product.multiply(block, multiplier, { rowsOfA: count, rowsOfB: rank, inputs });
    values.set(factors.map((value) => (Number.isFinite(value) ? value : Number.NaN)));
  };
}
