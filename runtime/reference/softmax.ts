// What a softmax layer means, in float64 and with nothing clever: the oracle of every backend, and a device of its own
// (`--device reference`). It reads packed tensors by the layout that the plan states, and shares no code with the packer
// or the kernels.

import { type SoftmaxResult, tokenCount, type WeightSource } from "../layer.ts";
import type { SoftmaxPlan } from "../plan.ts";

export interface ReferenceSoftmax {
  readonly plan: SoftmaxPlan;
  /** @param x `[tokens, inputs]`. */
  run(x: Float32Array): Promise<SoftmaxResult & { readonly values: Float64Array }>;
  /** What the stages before the exact scores do with one token, `[inputs]`. */
  select(x: Float32Array): Selection;
  /** The float64 scores of every row, `[rows]`, from the exact weights. */
  exactScores(x: Float32Array): Float64Array;
}

export interface Selection {
  /** Estimated score of every row, `[rows]`; their order is what selects. */
  readonly estimates: Float64Array;
  /** Rows that survive the first stage, bucket by bucket. */
  readonly survivors: readonly number[];
  /** The best of those, best first. */
  readonly candidates: readonly number[];
}

/** The order of results: NaN first, larger first; values below 2^-126 in magnitude count as 0, values beyond
 * f32 as infinite; ties to the lower row. */
export function better(a: number, rowA: number, b: number, rowB: number): boolean {
  const [x, y] = [settled(a), settled(b)];
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) && (!Number.isNaN(y) || rowA < rowB);
  return x > y || (x === y && rowA < rowB);
}

/** A value as f32 results show it: too small is 0, too large is infinite. */
function settled(value: number): number {
  if (Math.abs(value) < 2 ** -126) return 0;
  return Number.isFinite(Math.fround(value)) ? value : Math.fround(value);
}

export async function createReferenceSoftmax(
  name: string,
  plan: SoftmaxPlan,
  weights: WeightSource,
): Promise<ReferenceSoftmax> {
  const data = new Map<string, DataView>();
  for (const tensor of plan.tensors) {
    const bytes = await weights(tensor);
    data.set(tensor.role, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }
  const exactRow = readExactRows(plan, data);
  const estimate = plan.estimator.kind === "dense" ? dotRows(plan, exactRow) : estimateRows(plan, data);
  const score = dotRows(plan, exactRow);

  const select = (x: Float32Array) => {
    const estimates = estimate(x);
    const survivors: number[] = [];
    for (let bucket = 0; bucket < plan.selection.buckets; bucket++) {
      const members: number[] = [];
      for (let row = bucket; row < plan.rows; row += plan.selection.buckets) members.push(row);
      survivors.push(...sortRows(members, estimates).slice(0, plan.selection.keep));
    }
    return { estimates, survivors, candidates: sortRows([...survivors], estimates).slice(0, plan.candidates) };
  };
  return {
    plan,
    select,
    exactScores: (x) => score(x),
    run: async (x) => {
      const tokens = tokenCount(name, plan, x);
      const indices = new Uint32Array(tokens * plan.k);
      const values = new Float64Array(tokens * plan.k);
      for (let token = 0; token < tokens; token++) {
        const one = x.subarray(token * plan.inputs, (token + 1) * plan.inputs);
        const { candidates } = select(one);
        const scores = score(one, candidates);
        sortRows([...candidates], scores)
          .slice(0, plan.k)
          .forEach((row, rank) => {
            indices[token * plan.k + rank] = row;
            values[token * plan.k + rank] = settled(scores[row]!);
          });
      }
      return { indices, values };
    },
  };
}

function sortRows(rows: number[], scores: Float64Array): number[] {
  return rows.sort((a, b) => (better(scores[a]!, a, scores[b]!, b) ? -1 : 1));
}

/** Where row `row` lies in a tensor of `[buckets, tiles, parts, lanes]`: the offset of part 0, and from part to part. */
function locate({ selection: { buckets }, tiling: { tiles, lanes } }: SoftmaxPlan, row: number, parts: number) {
  const position = Math.floor(row / buckets);
  const tile = Math.floor(position / lanes);
  return { first: ((row % buckets) * tiles + tile) * parts * lanes + (position % lanes), stride: lanes };
}

/** Reads the exact weights of a row, `[inputs]`, into `into`. */
type RowReader = (row: number, into: Float64Array) => void;

function readExactRows(plan: SoftmaxPlan, data: ReadonlyMap<string, DataView>): RowReader {
  const width = plan.dtype === "f32" ? 4 : 2;
  const perStep = 16 / width;
  const exact = data.get("exact");
  const view = exact ?? data.get("weights")!;
  const rowBytes = Math.ceil(plan.inputs / perStep) * 16;
  const at = exact
    ? (row: number) => (column: number) => row * rowBytes + column * width
    : (row: number) => {
        const { first, stride } = locate(plan, row, plan.tiling.steps);
        return (column: number) => (first + Math.floor(column / perStep) * stride) * 16 + (column % perStep) * width;
      };
  const number = readNumbers(view, plan.dtype);
  return (row, into) => {
    const offset = at(row);
    for (let column = 0; column < plan.inputs; column++) into[column] = number(offset(column));
  };
}

/** Numbers of a dtype by their byte offset. */
function readNumbers(view: DataView, dtype: SoftmaxPlan["dtype"]): (at: number) => number {
  if (dtype === "f32") return (at) => view.getFloat32(at, true);
  const [exponentBits, mantissaBits] = dtype === "f16" ? [5, 10] : [8, 7];
  const values = Float64Array.from({ length: 65536 }, (_, bits) => valueOfBits(bits, exponentBits, mantissaBits));
  return (at) => values[view.getUint16(at, true)]!;
}

/** An IEEE 754 binary number of 1 + exponentBits + mantissaBits bits. */
function valueOfBits(bits: number, exponentBits: number, mantissaBits: number): number {
  const exponent = (bits >> mantissaBits) & (2 ** exponentBits - 1);
  const mantissa = (bits & (2 ** mantissaBits - 1)) / 2 ** mantissaBits;
  const sign = bits >> 15 ? -1 : 1;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * mantissa * 2 ** (1 - bias) : sign * (1 + mantissa) * 2 ** (exponent - bias);
}

function dotRows({ rows, inputs }: SoftmaxPlan, read: RowReader) {
  const weight = new Float64Array(inputs);
  return (x: Float32Array, only?: readonly number[]): Float64Array => {
    const scores = new Float64Array(rows);
    const one = (row: number) => {
      read(row, weight);
      let sum = 0;
      for (let column = 0; column < inputs; column++) sum += weight[column]! * x[column]!;
      scores[row] = sum;
    };
    if (only) only.forEach(one);
    else for (let row = 0; row < rows; row++) one(row);
    return scores;
  };
}

/** Estimated scores, with the roundings that decide the order: those of the row scale, when tokens are int8. */
function estimateRows(plan: SoftmaxPlan, data: ReadonlyMap<string, DataView>) {
  const { estimator, inputs, rows, tiling } = plan;
  if (estimator.kind !== "quantized") throw new Error("only a quantized layer has codes");
  const { bits, group, groups, activations } = estimator;
  const codes = data.get("codes")!;
  const scales = data.get("scales");
  const rowScales = data.get("row_scales")!;
  const code = (first: number, stride: number, column: number): number => {
    if (bits === 8) return codes.getInt8((first + Math.floor(column / 16) * stride) * 16 + (column % 16));
    const byte = codes.getUint8(
      (first + Math.floor(column / 32) * stride) * 16 + Math.floor((column % 32) / 8) * 4 + (column % 4),
    );
    const nibble = column % 8 < 4 ? byte & 15 : byte >> 4;
    return nibble > 7 ? nibble - 16 : nibble;
  };
  return (x: Float32Array): Float64Array => {
    const token = activations === "int8" ? quantizeToken(x) : x;
    const scores = new Float64Array(rows);
    for (let row = 0; row < rows; row++) {
      const ofCodes = locate(plan, row, tiling.steps);
      const ofScales = locate(plan, row, Math.ceil(groups / 4));
      let sum = 0;
      for (let g = 0; g < groups; g++) {
        let dot = 0;
        for (let column = g * group; column < Math.min(inputs, (g + 1) * group); column++) {
          dot += code(ofCodes.first, ofCodes.stride, column) * token[column]!;
        }
        const scale = scales?.getUint8((ofScales.first + (g >> 2) * ofScales.stride) * 4 + (g & 3)) ?? 1;
        sum += scale * dot;
      }
      const rowScale = rowScales.getFloat32(locate(plan, row, 1).first * 4, true);
      scores[row] = activations === "int8" ? Math.fround(Math.fround(sum) * rowScale) : sum * rowScale;
    }
    return scores;
  };
}

/** round(127 x / largest |x|), halves away from 0; all NaN when the token holds NaN or infinity. */
function quantizeToken(x: Float32Array): Float64Array {
  let largest = 0;
  for (const value of x) {
    if (!Number.isFinite(value)) return new Float64Array(x.length).fill(Number.NaN);
    largest = Math.max(largest, Math.abs(value));
  }
  // float64 holds 127 |x| exactly, and no quotient of two f32 lies close enough to a half to be rounded across it.
  return Float64Array.from(x, (value) =>
    largest === 0 ? 0 : Math.sign(value) * Math.floor((127 * Math.abs(value)) / largest + 0.5),
  );
}
