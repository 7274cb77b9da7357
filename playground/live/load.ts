// tiny-lm as a page loads it: compiled when the page was built, packed in the page, on the visitor's GPU twice, with the layers
// of its spec and with their dense twins.

import { denseTwin } from "../../compiler/dense-twin.ts";
import type { Tokenizer } from "../../examples/tiny-lm/tokenizer.ts";
import { readWeights, type Weights, type WeightsFile } from "../../examples/tiny-lm/weights.ts";
import planFile from "../../generated/tiny-lm/plan.json" with { type: "json" };
import type { WeightSource } from "../../runtime/layer.ts";
import type { CompiledSources } from "../../runtime/model.ts";
import { packWeights } from "../../runtime/pack/weight-tensors.ts";
import { asPlan, type Plan } from "../../runtime/plan.ts";
import { type GpuModel, loadModel } from "../../runtime/webgpu/model.ts";
import { config, fetchTokenizer, fetchWeights, weightsOf } from "../tiny-lm/files.ts";
import { requestPageDevice } from "../worker/page-device.ts";
import type { OnProgress } from "../worker/serve.ts";
import type { Both, Loaded } from "./tasks.ts";

const FOLDER = "../../generated/tiny-lm/";
const sources = import.meta.glob<string>("../../generated/tiny-lm/webgpu-*/*.wgsl", {
  query: "?raw",
  import: "default",
  eager: true,
});

export interface TinyLm {
  readonly models: Both<GpuModel>;
  readonly weights: Weights;
  readonly tokenizer: Tokenizer;
  readonly facts: Loaded;
}

/** @throws HireError HIRE-RUN-001, -003 to -005 and -031. */
export async function loadTinyLm(onProgress: OnProgress): Promise<TinyLm> {
  const { device, kind, description: adapter } = await requestPageDevice();
  const begun = performance.now();
  const [file, tokenizer] = await Promise.all([
    fetchWeights((share) => onProgress({ label: "Fetching the weights", share })),
    fetchTokenizer(),
  ]);
  const fetched = performance.now();
  const plan = asPlan(planFile, "plan.json");
  const compiled: CompiledSources = {
    plan,
    sources: Object.fromEntries(Object.entries(sources).map(([path, text]) => [path.slice(FOLDER.length), text])),
  };
  const twin = denseTwin(plan);
  const packed = await pack(plan, file, (share) => onProgress({ label: "Packing", share }));
  const densePacked = await pack(twin.plan, file, (share) =>
    onProgress({ label: "Laying out the dense weights", share }),
  );
  const weights = await readWeights(config, file);
  const isPacked = performance.now();
  onProgress({ label: "Compiling kernels" });
  const hire = await loadModel(device, compiled, packed);
  const dense = await loadModel(device, { plan: twin.plan, sources: Object.fromEntries(twin.files) }, densePacked);
  const times = { fetch: fetched - begun, pack: isPacked - fetched, load: performance.now() - isPacked };
  const bytes = { hire: bytesRead(plan), exact: bytesRead(twin.plan), whole: sum(plan, ({ bytes }) => bytes.dense) };
  return {
    models: { hire, exact: dense },
    ...{ weights, tokenizer },
    facts: { adapter, kind, profile: hire.profile, bytes, times },
  };
}

async function pack(plan: Plan, file: WeightsFile, onShare: (share: number) => void): Promise<WeightSource> {
  const all = sum(plan, ({ rows }) => rows);
  const packed = new Map<string, Uint8Array>();
  let rows = 0;
  for (const layer of Object.values(plan.layers)) {
    const onRow = () => {
      if (++rows % 256 === 0) onShare(Math.min(1, rows / all));
    };
    for (const tensor of packWeights(layer, await weightsOf(layer, file), onRow)) packed.set(tensor.name, tensor.data);
  }
  return ({ name }) => packed.get(name)!;
}

/** Of one token at a time. */
function bytesRead(plan: Plan): number {
  return sum(plan, ({ bytes: { score, rescore } }) => score + rescore);
}

function sum(plan: Plan, of: (layer: Plan["layers"][string]) => number): number {
  return Object.values(plan.layers).reduce((total, layer) => total + of(layer), 0);
}
