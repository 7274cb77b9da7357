// CUDA from Node: devices, memory, streams and graphs through the driver API, and compiled models on them.

export { type CompiledImages, imagesOf } from "./compiled-images.ts";
export { type CudaDevice, requestCudaDevice } from "./device.ts";
export { CudaCallError, type CudaDriver, type DevicePointer, type Handle } from "./driver.ts";
export type { CudaFfn, FfnMemory } from "./ffn.ts";
export type { CudaGraph } from "./graph.ts";
export { loadCudaDriver } from "./libcuda.ts";
export { type CudaShard, type CudaShardedLayer, loadCudaShard } from "./load-shard.ts";
export type { CudaBuffer, CudaMemory } from "./memory.ts";
export { type CompiledCuda, type CudaLayer, type CudaModel, loadCudaModel } from "./model.ts";
export { type NcclCollective, type NcclOptions, ncclCollective } from "./nccl.ts";
export type { CudaShardedFfn } from "./sharded-ffn.ts";
export type { CudaShardedSoftmax, ShardedSoftmaxMemory } from "./sharded-softmax.ts";
export type { CudaSoftmax, SoftmaxMemory } from "./softmax.ts";
export type { CudaEvent, CudaStream } from "./stream.ts";
