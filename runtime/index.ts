// The runtime: a plan, its sources and a pack in; the best rows out. It needs nothing of the compiler and nothing of
// Node; `hirec/runtime/node` adds files and devices there.

export { agree, type Facts } from "./collective/agree.ts";
export type { Collective } from "./collective/collective.ts";
export type { CollectiveOptions } from "./collective/deadline.ts";
export { loadShard, type ShardedLayer, type ShardLoadOptions } from "./collective/load-shard.ts";
export { localCollectives } from "./collective/local.ts";
export type { RawLoader } from "./collective/raw-layer.ts";
export type { MeasuredRecall, MonitorOptions } from "./collective/recall-monitor.ts";
export type { ShardedFfn } from "./collective/sharded-ffn.ts";
export type { ShardedResult, ShardedSoftmax } from "./collective/sharded-softmax.ts";
export { type Diagnostic, HireError, type SourceSpan } from "./errors.ts";
export { maskBits, type SoftmaxInputs } from "./inputs.ts";
export { type FfnResult, type LayerResult, NO_ROW, type SoftmaxResult, type WeightSource } from "./layer.ts";
export type { FloatSoftmaxResult as GpuSoftmaxResult } from "./layer-data.ts";
export type { CompiledParts, CompiledSources, LoadOptions } from "./model.ts";
export { readPack } from "./pack/read-pack.ts";
export { asPlan, type FfnPlan, type LayerPlan, type Plan, type SoftmaxPlan, type TensorPlan } from "./plan.ts";
export { createReferenceFfn, type ReferenceFfn } from "./reference/ffn.ts";
export { createReferenceSoftmax, type ReferenceSoftmax } from "./reference/softmax.ts";
export { shardPlan } from "./shard-plan.ts";
export { VERSION } from "./version.ts";
export { fetchCompiled } from "./web/fetch-compiled.ts";
export { type FetchedPack, type FetchPackOptions, type FetchProgress, fetchPack } from "./web/fetch-pack.ts";
export { dropKept } from "./web/kept-pack.ts";
export { type BoundSpec, bindSpec, type ShapesOf } from "./webgpu/bind-spec.ts";
export type { FfnBuffers, GpuFfn } from "./webgpu/ffn.ts";
export { type KeptModel, keepLoaded } from "./webgpu/keep-loaded.ts";
export { type GpuLayer, type GpuModel, gpuLoader, loadModel } from "./webgpu/model.ts";
export { type DeviceOptions, deviceDescriptor, requestDevice } from "./webgpu/request-device.ts";
export type { GpuSoftmax, SoftmaxBuffers } from "./webgpu/softmax.ts";
export {
  type BufferOf,
  type FfnShape,
  type LayerShapes,
  type SoftmaxShape,
  type TypedBuffers,
  type TypedFfn,
  type TypedFfnBuffers,
  type TypedFfnResult,
  type TypedInputs,
  type TypedLayer,
  type TypedLoader,
  type TypedModel,
  type TypedOptions,
  type TypedResult,
  type TypedSoftmax,
  typedLoader,
} from "./webgpu/typed-model.ts";
