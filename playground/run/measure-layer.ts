// One layer on the visitor's GPU: packed, run beside its dense twin, compared with the exact layer and the float64 reference.

import { denseTwin } from "../../compiler/dense-twin.ts";
import { type Reads, readsOf } from "../../compiler/reads.ts";
import { tuneOnWebgpu } from "../../compiler/tune/on-webgpu.ts";
import { DEVICE_TIME, race } from "../../compiler/tune/race.ts";
import { findDifference } from "../../compiler/tune/same-result.ts";
import type { LoadedLayer } from "../../compiler/tune/tune-device.ts";
import type { Timing } from "../../compiler/tuning/file.ts";
import { batchOf } from "../../runtime/batches.ts";
import type { LayerResult, WeightSource } from "../../runtime/layer.ts";
import {
  ffnResult,
  type LayerInputs,
  type LayerOutputs,
  softmaxInputs,
  softmaxResult,
} from "../../runtime/layer-data.ts";
import { type EstimateQuality, estimateQuality } from "../../runtime/measure/estimate-quality.ts";
import { type Evaluation, evaluate } from "../../runtime/measure/evaluation.ts";
import { exactLayer } from "../../runtime/measure/exact.ts";
import { layerWeights } from "../../runtime/measure/layer-weights.ts";
import { plainProduct } from "../../runtime/measure/product.ts";
import { type CompiledSources, requireWhole } from "../../runtime/model.ts";
import { packWeights } from "../../runtime/pack/weight-tensors.ts";
import type { LayerPlan } from "../../runtime/plan.ts";
import { createReference } from "../../runtime/reference/layer.ts";
import { requestPageDevice } from "../worker/page-device.ts";
import type { OnProgress } from "../worker/serve.ts";
import { requireSmall } from "./limit.ts";
import { type MeasuredLayer, randomLayer, tinyLmLayer } from "./measured-layer.ts";

export interface RunRequest {
  readonly compiled: CompiledSources;
  readonly layer: string;
  readonly weights: "random" | "tiny-lm";
  /** At most 128 of tiny-lm. */
  readonly tokens: number;
}

export interface RunResult extends Pick<RunRequest, "layer" | "weights"> {
  readonly adapter: string;
  readonly kind: "hardware" | "software";
  readonly profile: string;
  /** Whether times are between timestamps of the device, or of the page's clock. */
  readonly timestamps: boolean;
  readonly plan: LayerPlan;
  /** Milliseconds that packing took. */
  readonly packing: number;
  /** Against the exact layer, on all tokens. */
  readonly evaluation: Evaluation;
  /** Of the packed estimates; absent where every row is scored exactly. */
  readonly estimates?: EstimateQuality;
  /** Whether results are those of the float64 reference, on so many tokens. */
  readonly reference: { readonly tokens: number; readonly difference?: string };
  readonly hire: Cost;
  readonly dense: Cost;
}

export interface Cost {
  /** Of a launch. */
  readonly time: Timing;
  readonly reads: Reads;
}

/** Products of a weight and an input in float64 that the comparison with the reference may take: some two seconds. */
const REFERENCE_WORK = 2e8;

/**
 * @throws HireError HIRE-RUN-001, -003 to -006, -020, -030 and -031; of the family HIRE-PLAN when the dense twin does not fit.
 */
export async function measureLayer(request: RunRequest, onProgress: OnProgress): Promise<RunResult> {
  const { compiled, layer: name, weights } = request;
  const plan = requireWhole(compiled.plan, name);
  requireSmall(name, plan);
  const open = await requestPageDevice();
  const device = tuneOnWebgpu(open);
  try {
    const profile = device.pickProfile(compiled.plan);
    onProgress({ label: "Compiling the dense kernel" });
    const twin = denseTwin(compiled.plan, [name]);
    const densePlan = twin.plan.layers[name]!;

    const measured =
      weights === "tiny-lm" ? await tinyLmLayer(plan, request.tokens, onProgress) : randomLayer(plan, request.tokens);
    const inputs = inputsOf(name, plan, measured.x);
    const started = performance.now();
    const packed = pack(plan, measured, (share) => onProgress({ label: "Packing", share }));
    const packing = performance.now() - started;
    const densePacked = pack(densePlan, measured, (share) =>
      onProgress({ label: "Laying out the dense weights", share }),
    );

    onProgress({ label: "Loading and compiling kernels" });
    const one = firstBatch(inputs, measured.x.length / plan.inputs, plan);
    const hire = await device.load(compiled, name, packed, one);
    const dense = await device.load(
      { plan: twin.plan, sources: Object.fromEntries(twin.files) },
      name,
      densePacked,
      one,
    );
    onProgress({ label: "Running" });
    const result = await run(hire, plan, inputs);
    await run(dense, densePlan, inputs);
    onProgress({ label: "Measuring time" });
    const time = await race({ knobs: {}, loaded: hire }, { knobs: {}, loaded: dense }, DEVICE_TIME);

    onProgress({ label: "Computing the exact layer" });
    const own = layerWeights(plan, measured.weights);
    const exact = await exactLayer(plan, own, measured.x, plainProduct, () => false);
    onProgress({ label: "Computing the float64 reference" });
    const reference = await compareWithReference(name, plan, packed, measured.x, result);
    const estimates = await estimateQuality(name, plan, packed, exact, measured.x);
    return {
      ...{ layer: name, weights, adapter: open.description, kind: open.kind, profile, plan, packing },
      timestamps: open.device.features.has("timestamp-query"),
      evaluation: evaluate(exact, result, own.ffn?.downBias),
      ...(estimates && { estimates }),
      reference,
      hire: { time: time.current, reads: readsOf(plan, plan.batch) },
      dense: { time: time.challenger, reads: readsOf(densePlan, plan.batch) },
    };
  } finally {
    device.close();
  }
}

function inputsOf(name: string, plan: LayerPlan, x: Float32Array): LayerInputs {
  if (plan.kind === "ffn") return { x };
  const tokens = x.length / plan.inputs;
  const isDrawn = plan.sampler === "multinomial";
  // Evenly spread over [0, 1).
  const uniforms = Float32Array.from({ length: tokens }, (_, token) => token / tokens);
  return softmaxInputs(name, plan, x, isDrawn ? { uniforms } : {});
}

function firstBatch({ x, mask, uniforms }: LayerInputs, tokens: number, { batch }: LayerPlan): LayerInputs {
  return {
    x: batchOf(x, tokens, 0, batch),
    ...(mask && { mask }),
    ...(uniforms && { uniforms: batchOf(uniforms, tokens, 0, batch) }),
  };
}

function pack(plan: LayerPlan, { weights, fitting }: MeasuredLayer, onShare: (share: number) => void): WeightSource {
  let rows = 0;
  const step = Math.ceil(plan.rows / 100);
  const onRow = () => {
    if (++rows % step === 0) onShare(Math.min(1, rows / plan.rows));
  };
  const isFitted = plan.estimator.kind === "lowRank" && plan.estimator.basis === "activations";
  const packed = packWeights(plan, weights, onRow, isFitted ? fitting : undefined);
  return ({ name }) => packed.find((tensor) => tensor.name === name)!.data;
}

async function run(layer: LoadedLayer, plan: LayerPlan, inputs: LayerInputs): Promise<LayerResult> {
  return resultOf(plan, await layer.run(inputs));
}

function resultOf({ kind }: LayerPlan, outputs: LayerOutputs): LayerResult {
  return kind === "softmax" ? softmaxResult(outputs) : ffnResult(outputs);
}

async function compareWithReference(
  name: string,
  plan: LayerPlan,
  packed: WeightSource,
  x: Float32Array,
  result: LayerResult,
): Promise<RunResult["reference"]> {
  const all = x.length / plan.inputs;
  const most = Math.max(1, Math.floor(REFERENCE_WORK / (plan.rows * plan.inputs)));
  const tokens = Math.min(all, most);
  const some = x.subarray(0, tokens * plan.inputs);
  const { uniforms } = inputsOf(name, plan, x);
  const reference = await createReference(name, plan, packed);
  const expected = await reference.run(some, uniforms ? { uniforms: (uniforms as Float32Array).slice(0, tokens) } : {});
  const first = Object.fromEntries(
    Object.entries(result).map(([output, values]) => [output, values.slice(0, (values.length / all) * tokens)]),
  ) as unknown as LayerResult;
  const difference = findDifference(plan, expected, first);
  return { tokens, ...(difference && { difference }) };
}
