// Results of a layer, from whatever device, against the exact layer: numbers per token, and what they come to.

import type { FfnResult, LayerResult, SoftmaxResult } from "../layer.ts";
import type { FfnPlan, SoftmaxPlan } from "../plan.ts";
import { addGroups, type ExactLayer, logSumExp, squaresOf, tokenOf, valueFunction } from "./exact.ts";
import { type Summary, summaryOf } from "./quality.ts";

export interface Evaluation {
  readonly tokens: number;
  /** Share of the exact k best that were returned. */
  readonly recall: Summary;
  /** Share of tokens whose best result is the exact best row; of a feed-forward, whose best group is among the results. */
  readonly agreement: number;
  /**
   * Of an output head: KL divergence in nats of the distribution over the returned rows from the exact one over all, and the
   * part of it that the exact k best would have too.
   */
  readonly divergence?: Summary;
  readonly unavoidable?: Summary;
  /** Largest difference of a returned value from the exact one. */
  readonly valueError?: number;
  /** Share of tokens that are proven, of a certified head. */
  readonly certified?: number;
  /** Of a feed-forward: ‖output - exact output‖ / ‖exact output‖. */
  readonly error?: Summary;
}

/** The same, token by token. */
export interface TokenEvaluation {
  readonly recall: Float64Array;
  readonly agreement: Float64Array;
  readonly divergence?: Float64Array;
  readonly unavoidable?: Float64Array;
  readonly valueError?: Float64Array;
  readonly error?: Float64Array;
}

/** @param downBias what a feed-forward adds to every output. */
export function evaluate(exact: ExactLayer, result: LayerResult, downBias?: Float32Array): Evaluation {
  const { recall, agreement, divergence, unavoidable, valueError, error } = evaluateTokens(exact, result, downBias);
  const { certified } = result as SoftmaxResult;
  return {
    ...{ tokens: exact.tokens, recall: summaryOf(recall), agreement: summaryOf(agreement).mean },
    ...(divergence && { divergence: summaryOf(divergence) }),
    ...(unavoidable && { unavoidable: summaryOf(unavoidable) }),
    ...(valueError && { valueError: summaryOf(valueError).max }),
    ...(error && { error: summaryOf(error) }),
    ...(certified && { certified: certified.filter((flag) => flag === 1).length / exact.tokens }),
  };
}

export function evaluateTokens(exact: ExactLayer, result: LayerResult, downBias?: Float32Array): TokenEvaluation {
  const { plan } = exact;
  if (plan.kind === "softmax") return evaluateHead(exact, plan, result as SoftmaxResult);
  return evaluateFfn(exact, plan, result as FfnResult, downBias);
}

function evaluateHead(exact: ExactLayer, plan: SoftmaxPlan, result: SoftmaxResult): TokenEvaluation {
  const { tokens, rows, best, logSums } = exact;
  const { k } = plan;
  const value = valueFunction(plan) ?? ((score: number) => score);
  const perToken = () => new Float64Array(tokens);
  const [recall, agreement, divergence] = [perToken(), perToken(), perToken()];
  const [unavoidable, valueError] = [perToken(), perToken()];
  for (let token = 0; token < tokens; token++) {
    const own = tokenOf(rows, token, plan.rows);
    const found = result.indices.subarray(token * k, (token + 1) * k);
    const values = result.values.subarray(token * k, (token + 1) * k);
    const exactValues = Float64Array.from(found, (row) => value(own[row]!));
    recall[token] = shareOf(best[token]!, found);
    agreement[token] = Number(found[0] === best[token]![0]);
    values.forEach((each, i) => {
      valueError[token] = Math.max(valueError[token]!, Math.abs(each - exactValues[i]!));
    });
    const sum = logSumExp(values);
    values.forEach((each, i) => {
      divergence[token]! += Math.exp(each - sum) * (each - sum - (exactValues[i]! - logSums![token]!));
    });
    // Of exact values over the k best, all terms are alike.
    unavoidable[token] = logSums![token]! - logSumExp(Float64Array.from(best[token]!, (row) => value(own[row]!)));
  }
  return { recall, agreement, divergence, unavoidable, valueError };
}

function evaluateFfn(exact: ExactLayer, plan: FfnPlan, result: FfnResult, downBias?: Float32Array): TokenEvaluation {
  const { tokens, best, neurons } = exact;
  const { outputs, group } = plan;
  // Over shards more than k groups may be added up.
  const width = result.groups.length / tokens;
  const common = Array.from({ length: group.common }, (_, index) => index);
  const perToken = () => new Float64Array(tokens);
  const [recall, agreement, error] = [perToken(), perToken(), perToken()];
  for (let token = 0; token < tokens; token++) {
    const found = result.groups.subarray(token * width, (token + 1) * width);
    recall[token] = shareOf(best[token]!, found);
    agreement[token] = Number(found.includes(best[token]![0]!));
    const output = Float64Array.from({ length: outputs }, (_, i) => downBias?.[i] ?? 0);
    addGroups(plan, neurons!, token, [...common, ...best[token]!], 1, output);
    const difference = output.map((each, i) => each - result.output[token * outputs + i]!);
    const squares = squaresOf(output);
    error[token] = squares === 0 ? Math.sqrt(squaresOf(difference)) : Math.sqrt(squaresOf(difference) / squares);
  }
  return { recall, agreement, error };
}

function shareOf(wanted: Uint32Array, found: Uint32Array): number {
  const returned = new Set(found);
  return wanted.filter((each) => returned.has(each)).length / wanted.length;
}
