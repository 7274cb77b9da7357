// Weights and tokens in which the best rows hide in the errors of their estimates. Each attack fills the weights and one
// token; rows 0, 7, 14 … are those that hide.

import { emptyRow, quantizeRow } from "../../runtime/pack/quantize.ts";
import type { SoftmaxPlan } from "../../runtime/plan.ts";
import { roundTo } from "../cases/dtypes.ts";
import { integer, normal, permutation, type Random } from "../cases/random.ts";

export interface Target {
  readonly plan: SoftmaxPlan;
  /** `[rows, inputs]`. */
  readonly weights: Float32Array;
  /** `[inputs]`; the weights are made for this token. */
  readonly x: Float32Array;
}

export interface Attack {
  readonly name: string;
  readonly make: (target: Target, random: Random) => void;
}

const HIDDEN = 7;
const isHidden = (row: number) => row % HIDDEN === 0;

function gaussian({ weights, x }: Target, random: Random): void {
  for (let i = 0; i < weights.length; i++) weights[i] = normal(random);
  for (let i = 0; i < x.length; i++) x[i] = normal(random);
}

const rowOf = ({ plan, weights }: Target, row: number) => weights.subarray(row * plan.inputs, (row + 1) * plan.inputs);

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

/** What the packer makes of a row, and the step of each of its codes. */
function quantizedRow({ plan: { estimator } }: Target, row: Float32Array) {
  if (estimator.kind !== "quantized") throw new Error("nothing hides in exact scores");
  const padded = new Float32Array(estimator.group * estimator.groups);
  padded.set(row);
  const quantized = emptyRow(estimator);
  quantizeRow(padded, estimator, quantized);
  const step = (i: number) => quantized.scales[Math.floor(i / estimator.group)]! * quantized.rowScale;
  return { codes: quantized.levels, step, codeMax: 2 ** (estimator.bits - 1) - 1 };
}

/** Moves every weight towards the edge of its code's cell, on the side that raises or lowers the exact score. */
function pushInCells(target: Target, row: Float32Array, direction: number): void {
  const { codes, step, codeMax } = quantizedRow(target, row);
  for (let i = 0; i < row.length; i++) {
    // The largest weights decide the scales, so they stay.
    if (Math.abs(codes[i]!) >= codeMax) continue;
    row[i] = roundTo((codes[i]! + 0.46 * direction * Math.sign(target.x[i]!)) * step(i), target.plan.dtype);
  }
}

/** Moves a row along the token until its exact score is about `score`. */
function moveTo({ plan, x }: Target, row: Float32Array, score: number): void {
  const change = (score - dot(row, x)) / Math.max(dot(x, x), 1e-30);
  for (let i = 0; i < row.length; i++) row[i] = roundTo(row[i]! + change * x[i]!, plan.dtype);
}

function scaled({ plan, weights, x }: Target, ofWeights: number, ofToken: number): void {
  for (let i = 0; i < weights.length; i++) weights[i] = roundTo(weights[i]! * ofWeights, plan.dtype);
  for (let i = 0; i < x.length; i++) x[i] = Math.fround(x[i]! * ofToken);
}

function residuals(target: Target, random: Random): void {
  gaussian(target, random);
  const level = Math.sqrt(target.plan.inputs) * 2 * (0.5 + random());
  for (let row = 0; row < target.plan.rows; row++) {
    const own = rowOf(target, row);
    // Before their cells count, the hidden rows are a little below all others.
    moveTo(target, own, level * (isHidden(row) ? 0.98 - 0.1 * random() : 1 + 0.02 * random()));
    pushInCells(target, own, isHidden(row) ? 1 : -1);
  }
}

function tokenErrors(target: Target, random: Random): void {
  gaussian(target, random);
  const { x, plan } = target;
  // Every input lies near the edge of its code's cell; rows follow or oppose those errors.
  const signs = x.map(() => (random() < 0.5 ? -1 : 1));
  for (let i = 0; i < x.length; i++) x[i] = Math.fround((integer(random, -90, 90) + 0.47 * signs[i]!) / 127);
  x[integer(random, 0, x.length - 1)] = 1;
  for (let row = 0; row < plan.rows; row++) {
    const own = rowOf(target, row);
    const direction = isHidden(row) ? 1 : -1;
    for (let i = 0; i < own.length; i++) {
      own[i] = roundTo(direction * signs[i]! * (2 + random()) + 0.1 * normal(random), plan.dtype);
    }
    moveTo(target, own, 10 + direction * 0.01 * Math.sqrt(plan.inputs) * random());
  }
}

function dynamicRange(target: Target, random: Random): void {
  gaussian(target, random);
  const { x, plan } = target;
  // A weight so large that it makes all others of its group vanish, where the token is zero.
  const muted = integer(random, 0, plan.inputs - 1);
  x[muted] = 0;
  for (let row = 0; row < plan.rows; row++) {
    const own = rowOf(target, row);
    moveTo(target, own, (isHidden(row) ? 1.5 : 1) * Math.sqrt(plan.inputs) * (1 + random() / 10));
    if (isHidden(row)) own[muted] = roundTo(2 ** integer(random, 4, 14), plan.dtype);
  }
}

function extremes(target: Target, random: Random): void {
  residuals(target, random);
  const { dtype } = target.plan;
  const exponent = dtype === "f16" ? integer(random, -20, 8) : integer(random, -140, 100);
  scaled(target, 2 ** exponent, 2 ** integer(random, -140, 100));
  // And a part of the rows at another scale again.
  const other = 2 ** integer(random, -12, 4);
  for (let row = 0; row < target.plan.rows; row += 3) {
    const own = rowOf(target, row);
    for (let i = 0; i < own.length; i++) own[i] = roundTo(own[i]! * other, dtype);
  }
}

function cancellation(target: Target, random: Random): void {
  gaussian(target, random);
  const { x, plan } = target;
  for (let i = 1; i < x.length; i += 2) x[i] = x[i - 1]!;
  for (let row = 0; row < plan.rows; row++) {
    const own = rowOf(target, row);
    // Large products that cancel, and what is left nearly ties.
    for (let i = 1; i < own.length; i += 2)
      own[i] = roundTo(-own[i - 1]! * (1 + 2 ** -20 * normal(random)), plan.dtype);
    own[0] = roundTo(own[0]! + 2 ** -integer(random, 4, 18), plan.dtype);
  }
}

function copies(target: Target, random: Random): void {
  residuals(target, random);
  const first = rowOf(target, 0);
  for (const row of permutation(random, target.plan.rows).slice(0, integer(random, 2, 20))) {
    const own = rowOf(target, row);
    own.set(first);
    if (random() < 0.5) {
      const i = integer(random, 0, own.length - 1);
      own[i] = roundTo(own[i]! * (1 + 2 ** -integer(random, 7, 20)), target.plan.dtype);
    }
  }
}

function specials(target: Target, random: Random): void {
  residuals(target, random);
  const values = [
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    -0,
    2 ** -149,
    -(2 ** -130),
    3e38,
    -3e38,
  ];
  const count = integer(random, 1, 12);
  for (let i = 0; i < count; i++) {
    const value = values[integer(random, 0, values.length - 1)]!;
    target.weights[integer(random, 0, target.weights.length - 1)] = roundTo(value, target.plan.dtype);
  }
  if (random() < 0.3) target.x[integer(random, 0, target.x.length - 1)] = values[integer(random, 0, 7)]!;
}

/** Rows far above the others: what a certificate is for. */
function clearWinners(target: Target, random: Random): void {
  gaussian(target, random);
  const { plan, x } = target;
  const norm = Math.sqrt(dot(x, x));
  for (let row = 0; row < plan.rows; row++) {
    const own = rowOf(target, row);
    if (isHidden(row) && row < HIDDEN * plan.k) moveTo(target, own, norm * Math.sqrt(plan.inputs) * (2 + random()));
    else for (let i = 0; i < own.length; i++) own[i] = roundTo(own[i]! / 3, plan.dtype);
  }
}

/** Rows `value · x / ‖x‖²`, whose scores are `value` and whose estimates are near it. */
function plain(target: Target, row: number, value: number): void {
  const own = rowOf(target, row);
  own.fill(0);
  moveTo(target, own, value);
}

/**
 * As near as the inequality of Cauchy and Schwarz lets a bound be wrong: the errors of the hidden rows are parallel to the
 * token. All other rows are estimated almost exactly; just enough of them, the k best included, lie between what the
 * hidden rows are estimated at and what they score.
 */
function tightRows(target: Target, random: Random): void {
  const { plan, x } = target;
  for (let i = 0; i < x.length; i++) x[i] = random() < 0.5 ? -1 : 1;
  for (let row = 0; row < plan.rows; row += HIDDEN) {
    const own = rowOf(target, row);
    for (let i = 0; i < own.length; i++) own[i] = roundTo(normal(random), plan.dtype);
    pushInCells(target, own, 1);
  }
  behindPlainRows(target, random, (own) => {
    const { codes, step } = quantizedRow(target, own);
    return own.reduce((sum, weight, i) => sum + (weight - codes[i]! * step(i)) * x[i]!, 0);
  });
}

/** The same for the errors of the token's codes: the hidden rows are parallel to them. */
function tightToken(target: Target, random: Random): void {
  const { plan, x } = target;
  const signs = x.map(() => (random() < 0.5 ? -1 : 1));
  const codes = x.map(() => integer(random, -100, 100));
  // Balanced, so that the hidden rows score what the errors make them score.
  for (let i = 1; i < codes.length; i += 2) codes[i] = -signs[i]! * signs[i - 1]! * codes[i - 1]!;
  for (let i = 0; i < x.length; i++) x[i] = Math.fround((codes[i]! + 0.47 * signs[i]!) / 127);
  x[x.length - 1] = 1;
  for (let row = 0; row < plan.rows; row += HIDDEN) {
    const size = 2 ** integer(random, 2, 5);
    rowOf(target, row).set(signs.map((sign) => sign * size));
  }
  behindPlainRows(target, random, (own) => {
    return own.reduce((sum, weight, i) => sum + weight * (x[i]! - Math.round(127 * x[i]!) / 127), 0);
  });
}

function behindPlainRows(target: Target, random: Random, errorOf: (row: Float32Array) => number): void {
  const { plan, x } = target;
  const hidden = Array.from({ length: plan.rows }, (_, row) => row).filter(isHidden);
  const scores = hidden.map((row) => dot(rowOf(target, row), x));
  const errors = hidden.map((row) => errorOf(rowOf(target, row)));
  // The others hide behind the one that scores best.
  const best = scores.indexOf(Math.max(...scores));
  const [top, error] = [scores[best]!, errors[best]!];
  let count = 0;
  for (let row = 0; row < plan.rows; row++) {
    if (isHidden(row)) continue;
    const isVisible = count++ < plan.k;
    plain(target, row, top - error * (isVisible ? 0.02 : 0.05 + 0.3 * random()));
  }
}

/** Rows whose terms are the same in another order: only the rounding of their sums tells them apart. */
function twins(target: Target, random: Random): void {
  const { plan, x } = target;
  for (let i = 0; i < x.length; i += 2) x.fill(Math.fround(normal(random)), i, i + 2);
  const first = rowOf(target, 0);
  for (let i = 0; i < first.length; i++) first[i] = integer(random, -7, 7);
  first[0] = 7;
  for (let row = 1; row < plan.rows; row++) {
    const own = rowOf(target, row);
    own.set(first);
    for (let i = 0; i + 1 < own.length; i += 2) {
      if (random() < 0.5) [own[i], own[i + 1]] = [own[i + 1]!, own[i]!];
    }
  }
}

export const ATTACKS: readonly Attack[] = [
  { name: "errors of rows parallel to the token", make: tightRows },
  { name: "rows parallel to the token's errors", make: tightToken },
  { name: "equal terms in another order", make: twins },
  { name: "errors of rows along the token", make: residuals },
  { name: "errors of the token along rows", make: tokenErrors },
  { name: "weights too small for their scale", make: dynamicRange },
  { name: "huge and subnormal scales", make: extremes },
  { name: "large products that cancel", make: cancellation },
  { name: "copies and near copies", make: copies },
  { name: "NaN, infinity and other specials", make: specials },
];

export const BENIGN: Attack = { name: "clear winners (no attack)", make: clearWinners };
