// A packed module on a device against the exact layer, on recorded inputs that nothing was fitted to.

import type { CompiledCuda } from "../cuda/model.ts";
import type { LayerResult } from "../layer.ts";
import { type EstimateQuality, estimateQuality } from "../measure/estimate-quality.ts";
import { type Evaluation, evaluate } from "../measure/evaluation.ts";
import { exactLayer } from "../measure/exact.ts";
import type { Product } from "../measure/product.ts";
import { requireLayer } from "../model.ts";
import type { LayerPlan } from "../plan.ts";
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
        const estimates = await estimateQuality(name, layer, pack.weights, exact, x);
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
