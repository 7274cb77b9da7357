// A packed module on a device against the exact layer, on recorded inputs that nothing was fitted to.

import type { CompiledCuda } from "../cuda/model.ts";
import type { LayerResult, WeightSource } from "../layer.ts";
import { deviationsOf } from "../measure/deviations.ts";
import { type Evaluation, evaluate } from "../measure/evaluation.ts";
import { type ExactLayer, exactLayer, tokenOf } from "../measure/exact.ts";
import type { Product } from "../measure/product.ts";
import { correlationOf } from "../measure/quality.ts";
import { countsOf, exactHistogram, type Histogram, type TokenOrder } from "../measure/spread.ts";
import { requireLayer } from "../model.ts";
import type { LayerPlan } from "../plan.ts";
import { createReferenceFfn } from "../reference/ffn.ts";
import { sortRows } from "../reference/order.ts";
import { createReferenceSoftmax } from "../reference/softmax.ts";
import { readActivations, recordedLayers } from "./activations-file.ts";
import { readLayerWeights } from "./layer-weights.ts";
import { openLayers, type RunDevice } from "./open-layers.ts";
import { findWeights, openPack } from "./pack-file.ts";
import { runInParts } from "./run-file.ts";
import { openSafetensors, type SafetensorsFile } from "./safetensors-file.ts";

export interface EvaluateOptions {
  readonly pack: string;
  /** Files with the weights that the module was packed from. */
  readonly exact: readonly string[];
  readonly activations: readonly string[];
  readonly layers?: readonly string[];
  readonly device: RunDevice;
  readonly profile?: string;
  /** Tokens that are taken of a recording, at most: the last. */
  readonly tokens: number;
  readonly product: Product;
  /** Called with tokens done out of all tokens of all layers. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface EvaluationSummary {
  readonly device: string;
  readonly kind: "hardware" | "software" | "reference";
  readonly profile?: string;
  readonly layers: readonly LayerEvaluation[];
}

export interface LayerEvaluation extends Evaluation {
  readonly layer: string;
  readonly kind: LayerPlan["kind"];
  readonly k: number;
  readonly candidates: number;
  /** Of the packed estimates; absent where every row is scored exactly. */
  readonly estimates?: EstimateQuality;
}

/** What the packed copy and the first stage do, by the reference in float64. */
export interface EstimateQuality {
  /** Tokens that this was measured on: the reference takes its time. */
  readonly tokens: number;
  /** Correlation with the exact scores over all rows, or groups; mean over tokens. */
  readonly correlation: number;
  /** Share of the k best estimates that survive the first stage, and what the plan predicts. */
  readonly survivingK: number;
  readonly predictedK: number;
  /**
   * How exact scores are spread, and in the same bins what rows or groups are ordered by; the k-th exact score and the last
   * candidate, mean over tokens. In deviations of a token's exact scores above their mean.
   */
  readonly scores: {
    readonly exact: Histogram;
    readonly estimates: readonly number[];
    readonly kth: number;
    readonly cut: number;
  };
}

/** Products of a weight and an input that the reference may take, per layer: some ten seconds. */
const REFERENCE_WORK = 1e9;

/**
 * @throws HireError of the families HIRE-PACK and HIRE-RUN; HIRE-CAL-001 where no file holds inputs of a layer that is
 * named, or of any.
 */
export async function evaluateFile(compiled: CompiledCuda, options: EvaluateOptions): Promise<EvaluationSummary> {
  const { plan } = compiled;
  const files: SafetensorsFile[] = [];
  const open = async (paths: readonly string[]) => {
    const opened: SafetensorsFile[] = [];
    for (const path of paths) {
      opened.push(await openSafetensors(path));
      files.push(opened.at(-1)!);
    }
    return opened;
  };
  try {
    const recorded = await open(options.activations);
    const names = recordedLayers(options.layers ?? Object.keys(plan.layers), recorded, options.layers !== undefined);
    const layers = Object.fromEntries(names.map((name) => [name, requireLayer(plan, name)]));
    const weights = findWeights({ layers }, await open(options.exact));
    const tokens = new Map<string, Float32Array>();
    for (const name of names) {
      const x = (await readActivations(name, layers[name]!, recorded))!;
      tokens.set(name, x.subarray(Math.max(0, x.length - options.tokens * layers[name]!.inputs)));
    }
    const { layers: runnable, close, ...where } = await openLayers(compiled, names, options);
    const pack = await openPack(options.pack, plan);
    try {
      const total = names.reduce((sum, name) => sum + tokens.get(name)!.length / layers[name]!.inputs, 0);
      let done = 0;
      const found: LayerEvaluation[] = [];
      for (const name of names) {
        const layer = layers[name]!;
        const x = tokens.get(name)!;
        const count = x.length / layer.inputs;
        // Without numbers of the caller's to draw by, any will do: what is drawn is not looked at.
        const uniforms = layer.sampler === "multinomial" && { uniforms: new Float32Array(count) };
        const result = await runInParts(runnable[name]!, layer, { x, ...uniforms }, (part) => {
          done += part;
          options.onProgress?.(done, total);
        });
        const { weights: own } = await readLayerWeights(layer, weights.find((each) => each.name === name)!.found);
        const exact = await exactLayer(layer, own, x, options.product, () => false);
        const { kind, k, candidates } = layer;
        const estimates = await estimatesOf(name, layer, pack.weights, exact, x);
        found.push({
          ...{ layer: name, kind, k, candidates },
          ...evaluate(exact, result as unknown as LayerResult, own.ffn?.downBias),
          ...(estimates && { estimates }),
        });
      }
      return { ...where, layers: found };
    } finally {
      await pack.close();
      close();
    }
  } finally {
    for (const file of files) await file.close();
  }
}

async function estimatesOf(
  name: string,
  plan: LayerPlan,
  weights: WeightSource,
  exact: ExactLayer,
  x: Float32Array,
): Promise<EstimateQuality | undefined> {
  if (plan.estimator.kind === "dense") return undefined;
  const most = Math.max(4, Math.floor(REFERENCE_WORK / (plan.rows * plan.inputs)));
  const tokens = Math.min(64, exact.tokens, most);
  const reference =
    plan.kind === "softmax"
      ? await createReferenceSoftmax(name, plan, weights)
      : await createReferenceFfn(name, plan, weights);
  const orders: TokenOrder[] = [];
  let [correlation, surviving, kth, cut] = [0, 0, 0, 0];
  for (let token = 0; token < tokens; token++) {
    const { estimates, unit, survivors, candidates } = reference.select(tokenOf(x, token, plan.inputs));
    const scores = tokenOf(exact.scores, token, exact.choices);
    const own = scores.subarray(exact.common);
    orders.push({ order: estimates, unit });
    const deviate = deviationsOf(own);
    kth += deviate(scores[exact.best[token]!.at(-1)!]!) / tokens;
    cut += deviate(estimates[candidates.at(-1)!]! * unit) / tokens;
    correlation += correlationOf(Float32Array.from(estimates.subarray(exact.common)), own) / tokens;
    const choices = Array.from({ length: exact.choices - exact.common }, (_, i) => exact.common + i);
    const best = sortRows(choices, estimates).slice(0, plan.k);
    const kept = new Set(survivors);
    surviving += best.filter((choice) => kept.has(choice)).length / plan.k / tokens;
  }
  const histogram = exactHistogram(exact, tokens);
  const estimates = countsOf(exact, tokens, (token) => orders[token]!, histogram);
  const scores = { exact: histogram, estimates, kth, cut };
  return { tokens, correlation, survivingK: surviving, predictedK: plan.selection.recallOfK, scores };
}
