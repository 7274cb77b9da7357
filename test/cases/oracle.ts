// What a case's layer means, computed from the weights as they were before packing, with sorts and loops that share
// nothing with runtime/reference. It takes only the codes from the packer, because choosing them is the packer's task.

import { emptyRow, quantizeRow } from "../../runtime/pack/quantize.ts";
import type { ScoredPlan, SelectionPlan, SoftmaxPlan } from "../../runtime/plan.ts";
import { type Bound, boundOfRow, boundOfToken } from "./bounds.ts";
import { lowRankRows } from "./low-rank-oracle.ts";
import { type ExpectedOptions, expectedOptions, finalValues } from "./option-oracle.ts";
import type { CaseData } from "./softmax-case.ts";

/** Everything about one token. */
export interface Expected {
  /** `[rows]` scores in float64 from the original weights, and how far a sum of floats in any order may be off. */
  readonly exact: Float64Array;
  readonly exactSlack: Float64Array;
  /** `[rows]` estimated scores, and how far a backend's may be off; 0 where all backends must agree on every bit. */
  readonly estimates: Float64Array;
  readonly estimateSlack: Float64Array;
  /** What follows from the scores when they are taken for the truth. */
  readonly survivors: readonly (readonly number[])[];
  /** Of each bucket, the estimate from which on rows survive; NaN where all do. */
  readonly cuts: readonly number[];
  readonly candidates: readonly number[];
  readonly best: readonly number[];
  /** What the options of the layer make of it; nothing where it has none. */
  readonly options: ExpectedOptions;
}

/** Relative error of one operation on floats; WGSL §15.7.4 lets it round either way. */
const UNIT = 2 ** -23;

/** Below this an operand or a result may count as 0 (WGSL §15.7.2). */
const SMALLEST_NORMAL = 2 ** -126;

/** A function from a token `[inputs]` to what is expected for it. */
export function oracle(
  plan: SoftmaxPlan,
  { weights, bias, transform, taken = {} }: Pick<CaseData, "weights" | "bias"> & Partial<CaseData>,
): (x: Float32Array, token?: number) => Expected {
  const { rows, inputs } = plan;
  const exactTerms = Array.from({ length: rows }, (_, row) => weights.subarray(row * inputs, (row + 1) * inputs));
  const dequantized = estimatesOf(plan, exactTerms);
  const allowed = [...Array(rows).keys()].filter((row) => taken.mask?.[row] !== 0);
  return (x, token = 0) => {
    const exact = new Float64Array(rows);
    const exactSlack = new Float64Array(rows);
    exactTerms.forEach((row, r) => {
      const { sum, magnitude, tiny } = dot(row, x);
      exact[r] = bias ? sum + bias[r]! : sum;
      exactSlack[r] = bias ? roundingOf(inputs + 1, magnitude + Math.abs(bias[r]!)) : roundingOf(inputs, magnitude);
      exactSlack[r]! += tiny;
    });
    const { estimates, estimateSlack } = dequantized
      ? withOptions(plan, dequantized(x), bias)
      : { estimates: exact, estimateSlack: exactSlack };
    const { survivors, cuts } = firstStage(plan.selection, allowed, estimates);
    const candidates = sorted(survivors.flat(), estimates).slice(0, plan.candidates);
    const best = sorted(candidates, exact).slice(0, plan.k);
    const scores = { exact, exactSlack, estimates, estimateSlack, survivors, cuts, candidates, best };
    const finalOf = finalValues(plan, transform);
    return { ...scores, options: expectedOptions(plan, scores, allowed, finalOf, taken.uniforms?.[token] ?? 0) };
  };
}

/** What of every bucket survives, and where that is cut; `allowed` ascend, and row r is in bucket r mod buckets. */
export function firstStage(
  { kind, buckets: count, keep, quantile }: SelectionPlan,
  allowed: readonly number[],
  estimates: Float64Array,
) {
  const buckets: number[][] = Array.from({ length: count }, () => []);
  for (const row of allowed) buckets[row % count]!.push(row);
  if (kind === "statistical") {
    const cuts = buckets.map((rows) =>
      thresholdOf(
        rows.map((row) => estimates[row]!),
        quantile!,
      ),
    );
    const isAbove = (row: number, cut: number) => Number.isNaN(cut) || compare(estimates[row]!, cut) > 0;
    const survivors = buckets.map((rows, i) => rows.filter((row) => isAbove(row, cuts[i]!)).slice(0, keep));
    return { survivors, cuts };
  }
  const survivors = buckets.map((bucket) => sorted(bucket, estimates).slice(0, keep));
  return { survivors, cuts: survivors.map((kept) => (kept.length < keep ? Number.NaN : estimates[kept.at(-1)!]!)) };
}

/** mean + quantile · deviation of what is finite, a 4096th of both lower; NaN where it exceeds floats. */
function thresholdOf(scores: readonly number[], quantile: number): number {
  const finite = scores.filter((score) => Number.isFinite(Math.fround(score)));
  let [sum, sumOfSquares] = [0, 0];
  for (const score of finite) sum += score;
  const mean = sum / finite.length;
  // What is too small for floats is 0 for them.
  for (const score of finite) sumOfSquares += (score - mean) ** 2 < SMALLEST_NORMAL ? 0 : (score - mean) ** 2;
  if ([sum, sumOfSquares].some((each) => !Number.isFinite(Math.fround(each)))) return Number.NaN;
  const deviation = Math.sqrt(sumOfSquares / finite.length);
  return mean + quantile * deviation - (Math.abs(mean) + deviation) / 4096;
}

/** Largest first: NaN, then infinity, and so on; what is below 2^-126 in magnitude equals 0; ties to the lower row. */
export function sorted(rows: readonly number[], scores: Float64Array): number[] {
  return [...rows].sort((a, b) => compare(scores[b]!, scores[a]!) || a - b);
}

/** Above 0 when `a` orders above `b`, 0 when they tie. */
export function compare(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  const first = Math.abs(a) < SMALLEST_NORMAL ? 0 : a;
  const second = Math.abs(b) < SMALLEST_NORMAL ? 0 : b;
  return first === second ? 0 : first > second ? 1 : -1;
}

/** A dot product in float64, the sum of its terms' magnitudes, and what flushing subnormal numbers to 0 may change. */
export function dot(weights: Float32Array, x: Float32Array) {
  let [sum, magnitude, tiny] = [0, 0, SMALLEST_NORMAL];
  for (let i = 0; i < x.length; i++) {
    const term = weights[i]! * x[i]!;
    sum += term;
    magnitude += Math.abs(term);
    if (isSubnormal(weights[i]!) || isSubnormal(x[i]!)) tiny += Math.abs(term);
    tiny += 2 * SMALLEST_NORMAL;
  }
  return { sum, magnitude, tiny };
}

function isSubnormal(value: number): boolean {
  return value !== 0 && Math.abs(value) < SMALLEST_NORMAL;
}

/** gamma_n · magnitude (Higham, Accuracy and Stability of Numerical Algorithms, §3.1): n operations on each term. */
export function roundingOf(operations: number, magnitude: number): number {
  return ((operations * UNIT) / (1 - operations * UNIT)) * magnitude;
}

/** `[rows]` estimated scores, and how far a backend's may be off. */
export interface RowEstimates {
  /** What an estimate of 1 counts, where tokens are int8. */
  readonly tokenScale?: number;
  readonly estimates: Float64Array;
  readonly estimateSlack: Float64Array;
}

/** A function from a token to the estimated scores of rows; undefined where they are scored exactly. */
export function estimatesOf(
  plan: ScoredPlan,
  rows: readonly Float32Array[],
): ((x: Float32Array) => RowEstimates) | undefined {
  if (plan.estimator.kind === "dense") return undefined;
  return plan.estimator.kind === "lowRank" ? lowRankRows(plan, rows) : quantizeRows(plan, rows);
}

/** A function from a token to the estimated scores of rows that are quantized as the plan says. */
export function quantizeRows(plan: ScoredPlan, rows: readonly Float32Array[]) {
  const format = plan.estimator;
  if (format.kind !== "quantized") throw new Error("only quantized rows have codes");
  const padded = format.group * format.groups;
  const quantized = rows.map((weights) => {
    const row = emptyRow(format);
    quantizeRow(paddedTo(padded, weights), format, row);
    return row;
  });
  const integers = format.activations === "int8";
  const bounds =
    plan.certificate && quantized.map((row, r) => boundOfRow(paddedTo(padded, rows[r]!), format.group, row));
  return (x: Float32Array) => {
    const token = integers ? tokenCodes(x) : x;
    const ofToken = bounds && boundOfToken(plan, x);
    const estimates = new Float64Array(rows.length);
    const estimateSlack = new Float64Array(rows.length);
    quantized.forEach(({ levels, scales, rowScale }, r) => {
      let [sum, magnitude] = [0, 0];
      token.forEach((value, i) => {
        const term = levels[i]! * scales[Math.floor(i / format.group)]! * value;
        sum += term;
        magnitude += Math.abs(term);
      });
      if (bounds) {
        const { largest, slack } = largestScore(sum, rowScale, integers, bounds[r], ofToken);
        estimates[r] = largest;
        const magnitudes = magnitude * rowScale + slack;
        estimateSlack[r] = integers ? 0 : roundingOf(padded + 12, magnitudes) + padded * SMALLEST_NORMAL;
        return;
      }
      estimates[r] = integers ? Math.fround(Math.fround(sum) * rowScale) : sum * rowScale;
      // A term meets a product, the group's scale, the row's scale, and a sum of all.
      if (!integers) estimateSlack[r] = roundingOf(padded + 3, magnitude * rowScale) + padded * SMALLEST_NORMAL;
    });
    return { estimates, estimateSlack, ...(integers && { tokenScale: tokenScale(x) }) };
  };
}

/** Estimates with the bias, and where their size matters, integer ones with the token's scale, in floats. */
function withOptions({ bias: hasBias, logSumExp }: SoftmaxPlan, scored: RowEstimates, bias?: Float32Array) {
  const { tokenScale: scale } = scored;
  if (hasBias === undefined && !(scale !== undefined && logSumExp === "estimates")) return scored;
  const estimates = scored.estimates.map((estimate, row) => {
    const added = bias?.[row] ?? 0;
    return scale === undefined ? estimate + added : Math.fround(Math.fround(estimate * scale) + added);
  });
  const estimateSlack = scored.estimateSlack.map(
    (slack, row) => slack + (scale !== undefined ? 0 : UNIT * Math.abs(estimates[row]!)),
  );
  return { estimates, estimateSlack };
}

/** What a token's codes count, in floats. */
export function tokenScale(x: Float32Array): number {
  const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const scale = Math.fround(largest * Math.fround(1 / 127));
  return scale < SMALLEST_NORMAL ? 0 : scale;
}

/** Codes of a token as whole numbers: the integer nearest to 127 x / largest |x|. */
export function tokenCodes(x: Float32Array): Float64Array {
  const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return Float64Array.from(x, (value) => {
    if (!Number.isFinite(largest)) return Number.NaN;
    if (largest === 0) return 0;
    const code = Math.round((127 * Math.abs(value)) / largest);
    return value < 0 ? -code : code;
  });
}

function paddedTo(length: number, weights: Float32Array): Float32Array {
  const values = new Float32Array(length);
  values.set(weights);
  return values;
}

/** The largest score that a row may have, and how much of it is no estimate; NaN where nothing is known. */
function largestScore(score: number, rowScale: number, integers: boolean, row?: Bound, token?: Bound) {
  if (!row || !token) return { largest: Number.NaN, slack: Number.NaN };
  const errors = [row.error * token.norm, row.norm * token.error] as const;
  if (!integers) {
    // As the reference adds, so that rows of equal bounds tie in both.
    return { largest: (score + errors[0] + errors[1]) * rowScale, slack: (errors[0] + errors[1]) * rowScale };
  }
  const whole = errors.map((each) => Math.floor(Math.fround(each)));
  const slack = Math.fround(whole[0]! + whole[1]! + 2);
  return { largest: Math.fround(Math.fround(Math.fround(score) + slack) * rowScale), slack };
}
