// What a softmax layer means, in float64 and with nothing clever: the oracle of every backend, and a device of its own
// (`--device reference`). It reads packed tensors by the layout that the plan states, and shares no code with the packer
// or the kernels.

import { checkInputs, type SoftmaxInputs } from "../inputs.ts";
import { NO_ROW, readWeights, type SoftmaxResult, tokenCount, type WeightSource } from "../layer.ts";
import type { ScoredPlan, SoftmaxPlan } from "../plan.ts";
import { evaluateScalar } from "../scalar.ts";
import { boundOf, isAbove } from "./certificate.ts";
import { estimateRows, locate } from "./estimates.ts";
import { readNumbers } from "./numbers.ts";
import { settled, sortRows } from "./order.ts";
import { drawnRank, logSumExp } from "./sampling.ts";
import { scoredRows } from "./scored.ts";
import { survivorsOf } from "./survivors.ts";

export interface ReferenceSoftmax {
  readonly plan: SoftmaxPlan;
  /** @param x `[tokens, inputs]`. */
  run(x: Float32Array, inputs?: SoftmaxInputs): Promise<SoftmaxResult & { readonly values: Float64Array }>;
  /** What the stages before the exact scores do with one token, `[inputs]`, and the rows that are allowed. */
  select(x: Float32Array, mask?: Uint8Array): Selection;
  /** The float64 scores of every row, `[rows]`, from the exact weights. */
  exactScores(x: Float32Array): Float64Array;
}

export interface Selection {
  /** Estimated score of every row, `[rows]`; their order is what selects. */
  readonly estimates: Float64Array;
  /** What an estimate of 1 counts: to order rows it need not be multiplied with. */
  readonly unit: number;
  /** Rows that survive the first stage, bucket by bucket. */
  readonly survivors: readonly number[];
  /** The best of those, best first. */
  readonly candidates: readonly number[];
  /** What no row that is no candidate orders above; absent when all rows are candidates. Only of a certified layer. */
  readonly dropped?: number;
}

export async function createReferenceSoftmax(
  name: string,
  plan: SoftmaxPlan,
  weights: WeightSource,
): Promise<ReferenceSoftmax> {
  const data = new Map<string, DataView>();
  for (const tensor of plan.tensors) {
    const bytes = await readWeights(weights, tensor);
    data.set(tensor.role, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }
  const exactRow = readExactRows(plan, data);
  const dots = dotRows(plan, exactRow);
  const isDense = plan.estimator.kind === "dense";
  const estimate = isDense ? (x: Float32Array) => ({ scores: dots(x) }) : estimateRows(plan, data);
  const bias = plan.bias === undefined ? undefined : readBias(data.get("bias")!, plan.rows);
  const score = (x: Float32Array, only?: readonly number[]) => {
    const scores = dots(x, only);
    return bias ? scores.map((sum, row) => sum + bias[row]!) : scores;
  };

  const select = (x: Float32Array, mask?: Uint8Array) => {
    const { scores: estimates, unit } = scoredRows(plan, estimate(x), bias);
    const survivors: number[] = [];
    const lastOfCutBuckets: number[] = [];
    for (let bucket = 0; bucket < plan.selection.buckets; bucket++) {
      const members: number[] = [];
      for (let row = bucket; row < plan.rows; row += plan.selection.buckets) {
        if (mask?.[row] !== 0) members.push(row);
      }
      const { keep } = plan.selection;
      survivors.push(...survivorsOf(plan.selection, members, estimates));
      // A bucket counts its rows, whether they are allowed or not.
      const size = Math.ceil((plan.rows - bucket) / plan.selection.buckets);
      if (size > keep && members.length >= keep) lastOfCutBuckets.push(survivors.at(-1)!);
    }
    const ordered = sortRows([...survivors], estimates);
    const candidates = ordered.slice(0, plan.candidates);
    if (!plan.certificate) return { estimates, unit, survivors, candidates };
    const [dropped] = sortRows([...ordered.slice(plan.candidates), ...lastOfCutBuckets], estimates);
    return { estimates, unit, survivors, candidates, ...(dropped !== undefined && { dropped: estimates[dropped]! }) };
  };
  return {
    plan,
    select,
    exactScores: (x) => score(x),
    run: async (x, inputs = {}) => {
      const tokens = tokenCount(name, plan, x);
      checkInputs(name, plan, tokens, inputs);
      const indices = new Uint32Array(tokens * plan.k).fill(NO_ROW);
      const values = new Float64Array(tokens * plan.k).fill(Number.NEGATIVE_INFINITY);
      const certified = plan.certificate && new Uint8Array(tokens);
      const lse = new Float64Array(tokens);
      const sampled = new Uint32Array(tokens);
      const transform = plan.transform ? evaluateScalar(plan.transform) : (score: number) => score;
      const finalValue = (score: number) =>
        Number.isNaN(score) ? score : settled(transform(settled(score)) / (plan.temperature ?? 1));
      for (let token = 0; token < tokens; token++) {
        const one = x.subarray(token * plan.inputs, (token + 1) * plan.inputs);
        const { candidates, estimates, dropped } = select(one, inputs.mask);
        let scores = score(one, candidates);
        let ranked = sortRows([...candidates], scores);
        if (certified)
          certified[token] = Number(
            isAbove(scores[ranked[plan.k - 1]!] ?? Number.NEGATIVE_INFINITY, boundOf(plan, one, dropped)),
          );
        if (certified?.[token] === 0 && plan.certificate?.kind === "fallback") {
          scores = score(one);
          ranked = sortRows(
            [...scores.keys()].filter((row) => inputs.mask?.[row] !== 0),
            scores,
          );
        }
        ranked.slice(0, plan.k).forEach((row, rank) => {
          indices[token * plan.k + rank] = row;
          values[token * plan.k + rank] = finalValue(scores[row]!);
        });
        const chosen = new Set(candidates);
        const isTail = (row: number) => plan.logSumExp !== "candidates" && inputs.mask?.[row] !== 0 && !chosen.has(row);
        const tail = [...estimates.keys()].filter(isTail).map((row) => finalValue(estimates[row]!));
        if (plan.logSumExp) lse[token] = logSumExp([...candidates.map((row) => finalValue(scores[row]!)), ...tail]);
        const results = values.subarray(token * plan.k, (token + 1) * plan.k);
        sampled[token] = indices[token * plan.k + drawnRank(plan, results, inputs.uniforms?.[token] ?? 0)]!;
      }
      return {
        ...{ indices, values },
        ...(certified && { certified }),
        ...(plan.logSumExp && { lse }),
        ...(plan.sampler && { sampled }),
      };
    },
  };
}

function readBias(view: DataView, rows: number): Float32Array {
  return Float32Array.from({ length: rows }, (_, row) => view.getFloat32(row * 4, true));
}

/** Reads the exact weights of a row, `[inputs]`, into `into`. */
export type RowReader = (row: number, into: Float64Array) => void;

export function readExactRows(plan: ScoredPlan, data: ReadonlyMap<string, DataView>): RowReader {
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

export function dotRows({ rows, inputs }: ScoredPlan, read: RowReader) {
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
