// What a feed-forward layer means, in float64 and with nothing clever: the oracle of every backend, and a device of its own
// (`--device reference`). It reads packed tensors by the layout that the plan states, and shares no code with the packer
// or the kernels.

import { type FfnResult, NO_ROW, readWeights, tokenCount, type WeightSource } from "../layer.ts";
import type { FfnPlan, GroupPlan, TensorPlan } from "../plan.ts";
import { evaluateScalar } from "../scalar.ts";
import { type Estimates, estimateRows, firstScored } from "./estimates.ts";
import { readNumbers } from "./numbers.ts";
import { sortRows } from "./order.ts";
import { dotRows, readExactRows } from "./softmax.ts";
import { survivorsOf } from "./survivors.ts";

export interface ReferenceFfn {
  readonly plan: FfnPlan;
  /** @param x `[tokens, inputs]`. */
  run(x: Float32Array): Promise<FfnResult & { readonly output: Float64Array }>;
  /** What the stages before the exact scores do with one token, `[inputs]`. */
  select(x: Float32Array): GroupSelection;
  /** What one token gets, `[outputs]`, when these groups and the common ones are computed, and no others. */
  compute(x: Float32Array, groups: readonly number[]): Float64Array;
  /** The exact scores by which one token, `[inputs]`, orders these groups, `[groups]`; others have none. */
  exactScores(x: Float32Array, groups: readonly number[]): Float64Array;
}

export interface GroupSelection {
  /** Estimated score of every group, `[groups]`; common groups have none. */
  readonly estimates: Float64Array;
  /** What an estimate of 1 counts: to order groups it need not be multiplied with. */
  readonly unit: number;
  /** Groups that survive the first stage, bucket by bucket. */
  readonly survivors: readonly number[];
  /** The best of those, best first. */
  readonly candidates: readonly number[];
}

export async function createReferenceFfn(name: string, plan: FfnPlan, weights: WeightSource): Promise<ReferenceFfn> {
  const data = new Map<string, DataView>();
  for (const tensor of plan.tensors) {
    const bytes = await readWeights(weights, tensor);
    data.set(tensor.role, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }
  const { group, rows, inputs, outputs, k, candidates, estimator, selection } = plan;
  const isDense = estimator.kind === "dense";
  const estimate = isDense ? scoredRows(plan, readExactRows(plan, data)) : estimateRows(plan, data);
  const activation = evaluateScalar(plan.activation);
  const readBias = (role: TensorPlan["role"]) => {
    const view = data.get(role);
    return view && ((i: number) => view.getFloat32(i * 4, true));
  };
  const [bias, upBias, downBias] = [readBias("bias"), readBias("up_bias"), readBias("down_bias")];
  const matrices = readBundles(plan, data.get("bundles")!);
  const membersOf = (index: number) =>
    Array.from({ length: Math.min(group.size, rows - index * group.size) }, (_, i) => index * group.size + i);
  const selectable = Array.from({ length: group.count - group.common }, (_, i) => group.common + i);

  const select = (x: Float32Array): GroupSelection => {
    const { scores, unit } = estimate(x);
    // A function of a score needs it as it is, and so does a bias.
    const isScaled = unit !== undefined && (bias !== undefined || typeof group.score !== "string");
    const scaled = isScaled ? scores.map((score) => Math.fround(score * unit)) : scores;
    const round = unit === undefined ? (value: number) => value : Math.fround;
    const ofRows = bias ? scaled.map((score, row) => round(score + bias(row))) : scaled;
    const estimates = new Float64Array(group.count);
    // Where rows are scored alike on every backend, groups are added up alike.
    const add = groupScore(group, round);
    for (const index of selectable) estimates[index] = add(membersOf(index).map((row) => ofRows[row]!));
    const survivors: number[] = [];
    for (let bucket = 0; bucket < selection.buckets; bucket++) {
      const members = selectable.filter((index) => (index - group.common) % selection.buckets === bucket);
      survivors.push(...survivorsOf(selection, members, estimates));
    }
    const ofRow = isScaled ? 1 : (unit ?? 1);
    return {
      estimates,
      unit: group.score === "l2" ? ofRow ** 2 : ofRow,
      survivors,
      candidates: sortRows([...survivors], estimates).slice(0, candidates),
    };
  };

  const preActivation = (row: number, x: Float32Array) =>
    dot(matrices[plan.gated ? "gate" : "up"](row), x) + (bias?.(row) ?? 0);

  const compute = (x: Float32Array, groups: readonly number[]): Float64Array => {
    const output = Float64Array.from({ length: outputs }, (_, i) => downBias?.(i) ?? 0);
    const common = Array.from({ length: group.common }, (_, i) => i);
    for (const row of [...common, ...groups].flatMap(membersOf)) {
      let hidden = activation(preActivation(row, x));
      // What is zero adds nothing, whatever it would be multiplied with.
      if (hidden === 0) continue;
      if (plan.gated) hidden *= dot(matrices.up(row), x) + (upBias?.(row) ?? 0);
      if (hidden === 0) continue;
      const down = matrices.down(row);
      for (let i = 0; i < outputs; i++) output[i]! += hidden * down[i]!;
    }
    return output;
  };

  const exactScore = groupScore(group, (value) => value);
  const exactScores = (x: Float32Array, groups: readonly number[]): Float64Array => {
    const scores = new Float64Array(group.count);
    for (const index of groups) scores[index] = exactScore(membersOf(index).map((row) => preActivation(row, x)));
    return scores;
  };
  return {
    plan,
    select,
    compute,
    exactScores,
    run: async (x) => {
      const tokens = tokenCount(name, plan, x);
      const output = new Float64Array(tokens * outputs);
      const groups = new Uint32Array(tokens * k).fill(NO_ROW);
      for (let token = 0; token < tokens; token++) {
        const one = x.subarray(token * inputs, (token + 1) * inputs);
        const chosen = [...select(one).candidates];
        const best = sortRows(chosen, exactScores(one, chosen)).slice(0, k);
        groups.set(best, token * k);
        output.set(compute(one, best), token * outputs);
      }
      return { output, groups };
    },
  };
}

/** Exact scores of the rows that are scored. */
function scoredRows(plan: FfnPlan, read: ReturnType<typeof readExactRows>) {
  const score = dotRows(plan, read);
  const rows = Array.from({ length: plan.rows - firstScored(plan) }, (_, i) => firstScored(plan) + i);
  return (x: Float32Array): Estimates => ({ scores: score(x, rows) });
}

/** What orders a group, from the scores of its neurons. @param round what becomes of each intermediate result. */
function groupScore({ score }: GroupPlan, round: (value: number) => number): (scores: readonly number[]) => number {
  if (score === "max") return (scores) => (scores.some(Number.isNaN) ? Number.NaN : Math.max(...scores));
  const term = {
    sum: (value: number) => value,
    l2: (value: number) => value * value,
    of: typeof score === "string" ? Number : evaluateScalar(score),
  }[typeof score === "string" ? score : "of"];
  return (scores) => scores.reduce((sum, value) => round(sum + round(term(value))), 0);
}

/** Rows of the three matrices by neuron, out of its bundle. */
function readBundles({ inputs, outputs, dtype, gated }: FfnPlan, view: DataView) {
  const width = dtype === "f32" ? 4 : 2;
  const padded = (elements: number) => Math.ceil((elements * width) / 16) * 16;
  const up = gated ? padded(inputs) : 0;
  const down = up + padded(inputs);
  const bundle = down + padded(outputs);
  const number = readNumbers(view, dtype);
  const rowAt = (offset: number, length: number) => (row: number) =>
    Float64Array.from({ length }, (_, i) => number(row * bundle + offset + i * width));
  return { gate: rowAt(0, inputs), up: rowAt(up, inputs), down: rowAt(down, outputs) };
}

function dot(row: Float64Array, x: Float32Array): number {
  return row.reduce((sum, weight, i) => sum + weight * x[i]!, 0);
}
