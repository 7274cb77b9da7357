// What others do in place of the method, on the same inputs. Each is given what flatters it: thresholds are fitted per layer, and
// nothing is counted but the weights that it cannot do without.

import { check } from "../../compiler/check.ts";
import type { CheckedEstimator } from "../../compiler/model.ts";
import { tile } from "../../compiler/tile.ts";
import { defineModel, type QuantizedOptions, quantized, softmax } from "../../dsl/index.ts";
import type { FfnResult, LayerResult } from "../../runtime/layer.ts";
import { copyOf } from "../../runtime/measure/copy.ts";
import { type ExactLayer, exactLayer, tokenOf } from "../../runtime/measure/exact.ts";
import type { Product } from "../../runtime/measure/product.ts";
import { bestOf } from "../../runtime/measure/ranks.ts";
import { type EstimatedScores, estimatedScores } from "../../runtime/measure/scores.ts";
import { tokenEstimates } from "../../runtime/measure/settings.ts";
import type { FfnPlan } from "../../runtime/plan.ts";
import { evaluateScalar } from "../../runtime/scalar.ts";
import { withCopy } from "./bytes.ts";
import type { StudyLayer } from "./layer.ts";
import { exactOutcome, ffnOutcome, headOutcome } from "./outcome.ts";
import { bestAmong } from "./selection.ts";

export interface Outcome {
  readonly result: LayerResult;
  /** What a threshold let through, as `bytesOf` wants it: a share of the inputs, or neurons per token. */
  readonly passed?: number;
}

/** The k best by a copy's estimates, with what the codes make of them: no exact weight is read. */
export async function codesOutcome(
  study: StudyLayer,
  exact: ExactLayer,
  estimator: CheckedEstimator,
  estimated: EstimatedScores,
  product: Product,
): Promise<Outcome> {
  const plan = tile(withCopy(study.layer, estimator, study.layer.candidates));
  const estimate = tokenEstimates(exact, estimated, plan);
  const tokens = [...Array(exact.tokens).keys()];
  const chosen = tokens.map((token) => bestOf(estimate(token).order, plan.k));
  if (plan.kind === "softmax") {
    return { result: headOutcome(plan.k, (token) => estimate(token).order, chosen) };
  }
  const hidden = new Float32Array(exact.tokens * plan.rows);
  const ups = copyOf(plan, study.weights.ffn!.up, study.x, study.fit, study.bases, product);
  const up = tokenEstimates(exact, await estimatedScores(ups, plan.rows, product), plan);
  const activation = evaluateScalar(plan.activation);
  for (const token of tokens) {
    const own = tokenOf(hidden, token, plan.rows);
    const [gates, factors] = [estimate(token).rows, up(token).rows];
    for (const neuron of neuronsOf(plan, chosen[token]!)) own[neuron] = activation(gates[neuron]!) * factors[neuron]!;
  }
  const output = await downByCodes(study, hidden, estimator, product);
  return { result: { output, groups: Uint32Array.from(chosen.flatMap((groups) => [...groups])) } };
}

/** `hidden · downᵀ` by codes, whose roundings favour no neuron. @returns `[tokens, outputs]`. */
async function downByCodes(
  study: StudyLayer,
  hidden: Float32Array,
  estimator: CheckedEstimator,
  product: Product,
): Promise<Float32Array> {
  const { down } = study.weights.ffn!;
  const { kind: _, ...options } = estimator as QuantizedOptions & { readonly kind: string };
  const { rows, inputs, dtype } = down;
  const matrix = softmax({ rows, inputs, dtype, weight: "down", estimator: quantized(options), k: 1 });
  const plan = tile(check({ model: defineModel("down", { matrix }), sites: [] }).layers[0]!);
  const copy = copyOf(plan, down, hidden, new Float32Array(inputs).fill(1), study.bases, product);
  const estimate = tokenEstimates({ choices: rows }, await estimatedScores(copy, rows, product), plan);
  const output = new Float32Array((hidden.length / inputs) * rows);
  for (let token = 0; token < hidden.length / inputs; token++) output.set(estimate(token).rows, token * rows);
  return output;
}

/** What the layer makes of the largest inputs alone. @param share of the inputs that were fitted to that pass the threshold. */
export async function inputsOutcome(
  study: StudyLayer,
  exact: ExactLayer,
  share: number,
  product: Product,
): Promise<Outcome> {
  const { x, passed } = largestInputs(study, share);
  const pruned = await exactLayer(exact.plan, study.weights, x, product, () => false);
  return { result: exactOutcome(pruned, pruned.best), passed };
}

/** The inputs that pass a threshold, with 0 for others, and their share. */
export function largestInputs(
  { fit, x }: StudyLayer,
  share: number,
): { readonly x: Float32Array; readonly passed: number } {
  const limit = thresholdOf(fit, share);
  const passes = (value: number) => Math.abs(value) >= limit;
  const passed = x.reduce((count, value) => count + Number(passes(value)), 0) / x.length;
  return { x: x.map((value) => (passes(value) ? value : 0)), passed };
}

/**
 * What neurons with large gates add up to: gates are computed exactly, and with them the k best groups, of which only those
 * neurons go on.
 * @param fitted the exact layer on what thresholds are fitted to.
 * @param share of its chosen neurons that pass the threshold.
 */
export function gatesOutcome(exact: ExactLayer, fitted: ExactLayer, share: number): Outcome {
  const plan = exact.plan as FfnPlan;
  const activation = evaluateScalar(plan.activation);
  const gatesOf = (layer: ExactLayer, token: number) =>
    neuronsOf(plan, layer.best[token]!).map((neuron) => {
      return [neuron, Math.abs(activation(layer.rows[token * plan.rows + neuron]!))] as const;
    });
  const values = Array.from({ length: fitted.tokens }, (_, token) => gatesOf(fitted, token).map(([, gate]) => gate));
  const limit = thresholdOf(Float32Array.from(values.flat()), share);
  const hidden = exact.neurons!.hidden.slice();
  let passed = 0;
  for (let token = 0; token < exact.tokens; token++) {
    for (const [neuron, gate] of gatesOf(exact, token)) {
      // What is zero adds nothing, and is not read whatever the threshold.
      if (gate >= limit && gate > 0) passed++;
      else hidden[token * plan.rows + neuron] = 0;
    }
  }
  const result: FfnResult = ffnOutcome(plan, { ...exact.neurons!, hidden }, exact.best);
  return { result, passed: passed / exact.tokens };
}

/** The k best of the first so many of an order. */
export function shortlistOutcome(exact: ExactLayer, order: Uint32Array, share: number): Outcome {
  const list = listed(exact, order, share);
  const chosen = Array.from({ length: exact.tokens }, (_, token) =>
    bestAmong(list, tokenOf(exact.scores, token, exact.choices), exact.plan.k),
  );
  return { result: exactOutcome(exact, chosen) };
}

/** At least k, so that there are as many results. */
export function listed({ plan }: Pick<ExactLayer, "plan">, order: Uint32Array, share: number): Uint32Array {
  return order.subarray(0, Math.max(plan.k, Math.ceil(share * order.length)));
}

function neuronsOf({ rows, group: { size } }: FfnPlan, groups: Uint32Array): number[] {
  return [...groups].flatMap((group) =>
    Array.from({ length: Math.min(size, rows - group * size) }, (_, i) => group * size + i),
  );
}

/** The magnitude that this share of the values reaches. */
function thresholdOf(values: Float32Array, share: number): number {
  if (share >= 1) return 0;
  const sorted = values.map(Math.abs).sort();
  return sorted[Math.floor((1 - share) * sorted.length)]!;
}
