// What the exact layer does with tokens: the measure that everything else is held against. Scores are f32, as a dense layer
// on a device has them.

import type { FfnWeights } from "../pack/pack-ffn.ts";
import { blockReader, type WeightMatrix } from "../pack/weights.ts";
import type { FfnPlan, GroupPlan, LayerPlan, SoftmaxPlan } from "../plan.ts";
import { settled } from "../reference/order.ts";
import { evaluateScalar } from "../scalar.ts";
import type { Product } from "./product.ts";
import { bestOf } from "./ranks.ts";
import { exactScores, type OnRows } from "./scores.ts";

/** What a layer's weights file holds, by role. */
export interface LayerWeights {
  /** The matrix that is scored: of a head its rows, of a feed-forward gate, or up where there is no gate. */
  readonly scored: WeightMatrix;
  /** f32 `[rows]`, added to the scores. */
  readonly bias?: Float32Array;
  readonly ffn?: FfnWeights & { readonly upBias?: Float32Array; readonly downBias?: Float32Array };
}

export interface ExactLayer {
  readonly plan: LayerPlan;
  readonly tokens: number;
  /** `[tokens, rows]`, bias included. */
  readonly rows: Float32Array;
  /** Scores of what is selected from, `[tokens, choices]`: rows, or groups of neurons. */
  readonly scores: Float32Array;
  readonly choices: number;
  /** Choices below it are common: they are not selected from. */
  readonly common: number;
  /** The exact k best choices per token, best first. */
  readonly best: readonly Uint32Array[];
  readonly bias?: Float32Array;
  /** Of an output head: the log of the sum of exp(value), per token. */
  readonly logSums?: Float64Array;
  /** Of a feed-forward. */
  readonly neurons?: ExactNeurons;
}

export interface ExactNeurons {
  /** What each neuron is multiplied with, `[tokens, hidden]`: activation(gate) · up. */
  readonly hidden: Float32Array;
  /** Its row of down, `[hidden, outputs]`. */
  readonly down: Float32Array;
  /** ‖output‖² of the exact k best and the common groups, per token; NaN of tokens that errors are not measured on. */
  readonly squares: Float64Array;
}

/** @param errorTokens whether the error of a token's output is measured; each takes some milliseconds per setting. */
export async function exactLayer(
  plan: LayerPlan,
  weights: LayerWeights,
  x: Float32Array,
  product: Product,
  errorTokens: (token: number) => boolean,
  onRows?: OnRows,
): Promise<ExactLayer> {
  const tokens = x.length / plan.inputs;
  const rows = await exactScores(weights.scored, x, product, onRows);
  const { bias } = weights;
  if (bias) rows.set(rows.map((score, i) => score + bias[i % plan.rows]!));
  const { group } = plan;
  const choices = group ? group.count : plan.rows;
  const common = group?.common ?? 0;
  const scores = group ? new Float32Array(tokens * choices) : rows;
  if (group) {
    const score = groupScorer(group, plan.rows);
    for (let t = 0; t < tokens; t++) score(tokenOf(rows, t, plan.rows), tokenOf(scores, t, choices));
  }
  const best = Array.from({ length: tokens }, (_, t) => bestOf(tokenOf(scores, t, choices), plan.k, common));
  const found = { plan, tokens, rows, scores, choices, common, best, ...(bias && { bias }) };
  if (plan.kind === "softmax") return { ...found, logSums: logSumsOf(plan, rows, tokens) };
  return { ...found, neurons: await exactNeurons(plan, weights, x, product, { rows, best, errorTokens }) };
}

export function tokenOf(values: Float32Array, token: number, width: number): Float32Array {
  return values.subarray(token * width, (token + 1) * width);
}

/** What becomes of the score of a row of an output head; nothing where it stays as it is. */
export function valueFunction({ transform, temperature = 1 }: SoftmaxPlan): ((score: number) => number) | undefined {
  if (!transform && temperature === 1) return undefined;
  const apply = transform ? evaluateScalar(transform) : (score: number) => score;
  return (score) => settled(apply(settled(score)) / temperature);
}

/** Writes the scores of groups, made of those of their neurons. */
export function groupScorer({ size, score }: GroupPlan, rows: number) {
  const apply = typeof score === "string" ? undefined : evaluateScalar(score);
  return (scores: Float32Array, into: Float32Array): void => {
    for (let group = 0; group < into.length; group++) {
      const end = Math.min(rows, (group + 1) * size);
      let total = score === "max" ? Number.NEGATIVE_INFINITY : 0;
      for (let row = group * size; row < end; row++) {
        const value = scores[row]!;
        if (score === "max") total = Math.max(total, value);
        else total += apply ? apply(value) : score === "l2" ? value * value : value;
      }
      into[group] = total;
    }
  };
}

/** The log of the sum of exp of numbers. */
export function logSumExp(values: ArrayLike<number>): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, values[i]!);
  if (!Number.isFinite(largest)) return largest;
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const below = values[i]! - largest;
    // What is below adds less than a float64 holds, for any number of rows.
    if (below > -60) sum += Math.exp(below);
  }
  return largest + Math.log(sum);
}

function logSumsOf(plan: SoftmaxPlan, scores: Float32Array, tokens: number): Float64Array {
  const value = valueFunction(plan);
  return Float64Array.from({ length: tokens }, (_, token) => {
    const own = tokenOf(scores, token, plan.rows);
    return logSumExp(value ? own.map(value) : own);
  });
}

async function exactNeurons(
  plan: FfnPlan,
  { ffn }: LayerWeights,
  x: Float32Array,
  product: Product,
  exact: {
    readonly rows: Float32Array;
    readonly best: readonly Uint32Array[];
    readonly errorTokens: (token: number) => boolean;
  },
): Promise<ExactNeurons> {
  const { rows: hidden, outputs, gated } = plan;
  const { up, down, upBias } = ffn!;
  const activation = evaluateScalar(plan.activation);
  const values = exact.rows.map(activation);
  if (gated) {
    const ups = await exactScores(up, x, product);
    ups.forEach((value, i) => {
      // What is zero adds nothing, whatever it would be multiplied with.
      if (values[i] !== 0) values[i]! *= value + (upBias?.[i % hidden] ?? 0);
    });
  }
  const downs = transposed(down);
  const tokens = x.length / plan.inputs;
  const squares = new Float64Array(tokens).fill(Number.NaN);
  const neurons = { hidden: values, down: downs, squares };
  for (let token = 0; token < tokens; token++) {
    if (!exact.errorTokens(token)) continue;
    const common = Array.from({ length: plan.group.common }, (_, group) => group);
    const output = new Float64Array(outputs);
    addGroups(plan, neurons, token, [...common, ...exact.best[token]!], 1, output);
    squares[token] = squaresOf(output);
  }
  return neurons;
}

/** Adds `factor` times what groups add to a token's output. */
export function addGroups(
  { rows, outputs, group: { size } }: FfnPlan,
  { hidden, down }: Pick<ExactNeurons, "hidden" | "down">,
  token: number,
  groups: Iterable<number>,
  factor: number,
  into: Float64Array,
): void {
  for (const group of groups) {
    for (let row = group * size; row < Math.min(rows, (group + 1) * size); row++) {
      const weight = factor * hidden[token * rows + row]!;
      if (weight === 0) continue;
      for (let i = 0, at = row * outputs; i < outputs; i++) into[i]! += weight * down[at + i]!;
    }
  }
}

export function squaresOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}

function transposed(matrix: WeightMatrix): Float32Array {
  const { rows, inputs } = matrix;
  const read = blockReader(matrix);
  const row = new Float32Array(inputs);
  const into = new Float32Array(rows * inputs);
  for (let i = 0; i < rows; i++) {
    read(i, 1, row);
    for (let j = 0; j < inputs; j++) into[j * rows + i] = row[j]!;
  }
  return into;
}
