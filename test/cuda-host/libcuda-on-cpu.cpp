// A CUDA driver without a GPU: the calls of runtime/cuda/driver.ts with the C ABI of libcuda.so.1, over memory of the host.
// A kernel image is what nvcc-on-cpu.sh makes of a source. Work on a stream waits until somebody asks whether an event has
// passed, so that whoever reads results too early reads garbage. Written for finding mistakes, so it refuses more than a
// card does: every handle and pointer is looked up, allocations lie between canaries, fresh memory holds garbage.
//
// Environment, read whenever it matters:
//   HIREC_CUDA_ON_CPU_DEVICES     devices, 1 without it
//   HIREC_CUDA_ON_CPU_CAPABILITY  compute capability of each, "9.0" without it
//   HIREC_CUDA_ON_CPU_MEMORY      bytes of each, 1 GiB without it
//   HIREC_CUDA_ON_CPU_DELAY_MS    how long work takes at least, 0 without it
//
// With -DCUDA_H the definitions are compiled against NVIDIA's own header, so that the compiler compares signatures.

#include "driver-on-cpu.h"

using namespace on_cpu;

#define REFUSE_IF(condition, code) \
  if (condition) return static_cast<CUresult>(code)
#define TRY(call) \
  if (const Code code_of_call = (call)) return static_cast<CUresult>(code_of_call)
#define RETURN(code) return static_cast<CUresult>(code)

extern "C" {

CUresult CUDAAPI cuInit(unsigned int flags) {
  REFUSE_IF(flags != 0, INVALID_VALUE);
  REFUSE_IF(device_count() == 0, NO_DEVICE);
  initialized = true;
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuGetErrorName(CUresult error, const char** name) {
  const auto found = NAMES.find(error);
  *name = found == NAMES.end() ? nullptr : found->second;
  RETURN(found == NAMES.end() ? INVALID_VALUE : SUCCESS);
}

CUresult CUDAAPI cuDriverGetVersion(int* version) {
  *version = 13000;
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuDeviceGetCount(int* count) {
  REFUSE_IF(!initialized, NOT_INITIALIZED);
  *count = device_count();
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuDeviceGet(CUdevice* device, int ordinal) {
  REFUSE_IF(!initialized, NOT_INITIALIZED);
  REFUSE_IF(ordinal < 0 || ordinal >= device_count(), INVALID_DEVICE);
  *device = ordinal;
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuDeviceGetName(char* name, int bytes, CUdevice device) {
  REFUSE_IF(device < 0 || device >= device_count(), INVALID_DEVICE);
  std::snprintf(name, static_cast<std::size_t>(bytes), "CUDA on the CPU %d", device);
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice device) {
  REFUSE_IF(device < 0 || device >= device_count(), INVALID_DEVICE);
  *bytes = memory_bytes();
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  REFUSE_IF(device < 0 || device >= device_count(), INVALID_DEVICE);
  switch (static_cast<int>(attribute)) {
    case 1: *value = MAX_THREADS; break;
    case 5: *value = 2147483647; break;
    case 8: *value = 48 * 1024; break;
    case 16: *value = 2; break;
    case 75: *value = capability() / 10; break;
    case 76: *value = capability() % 10; break;
    default: RETURN(INVALID_VALUE);
  }
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  REFUSE_IF(!initialized, NOT_INITIALIZED);
  REFUSE_IF(broken != SUCCESS, broken);
  REFUSE_IF(device < 0 || device >= device_count(), INVALID_DEVICE);
  retained[device]++;
  *context = reinterpret_cast<CUcontext>(0x7e56'0000'0000 + device * 64);
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  REFUSE_IF(device < 0 || device >= device_count(), INVALID_DEVICE);
  REFUSE_IF(retained[device] == 0, INVALID_CONTEXT);
  if (--retained[device] == 0) current_context = nullptr;
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuCtxSetCurrent(CUcontext context) {
  REFUSE_IF(!initialized, NOT_INITIALIZED);
  const auto device = reinterpret_cast<unsigned long long>(context) - 0x7e56'0000'0000;
  REFUSE_IF(context != nullptr && (device % 64 != 0 || device / 64 >= 16 || retained[device / 64] == 0), INVALID_CONTEXT);
  current_context = context;
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuCtxGetCurrent(CUcontext* context) {
  *context = current_context;
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  TRY(usable());
  *total = memory_bytes();
  *free = *total - std::min(*total, used_bytes());
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuMemAlloc_v2(CUdeviceptr* pointer, std::size_t bytes) {
  TRY(unsafe());
  REFUSE_IF(bytes == 0, INVALID_VALUE);
  REFUSE_IF(used_bytes() + bytes > memory_bytes(), OUT_OF_MEMORY);
  const std::size_t all_bytes = (ALIGNMENT + bytes + CANARY_BYTES + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  auto* const all = static_cast<unsigned char*>(std::aligned_alloc(ALIGNMENT, all_bytes));
  REFUSE_IF(all == nullptr, OUT_OF_MEMORY);
  unsigned char* const data = all + ALIGNMENT;
  std::memset(all, CANARY, all_bytes);
  for (std::size_t at = 0; at < bytes; at++) data[at] = static_cast<unsigned char>(BUFFER_GARBAGE >> at % 4 * 8);
  *pointer = reinterpret_cast<CUdeviceptr>(data);
  allocations[*pointer] = {bytes, all};
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuMemFree_v2(CUdeviceptr pointer) {
  TRY(unsafe());
  // As on a card, where it waits for everything.
  run_everything();
  const auto found = allocations.find(pointer);
  REFUSE_IF(found == allocations.end(), INVALID_VALUE);
  std::free(found->second.all);
  allocations.erase(found);
  RETURN(broken);
}

CUresult CUDAAPI cuMemGetAddressRange_v2(CUdeviceptr* base, std::size_t* bytes, CUdeviceptr pointer) {
  TRY(usable());
  const auto* const found = allocation_of(pointer);
  REFUSE_IF(found == nullptr, NOT_FOUND);
  if (base != nullptr) *base = found->first;
  if (bytes != nullptr) *bytes = found->second.bytes;
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  REFUSE_IF(allocation_of(to, bytes) == nullptr, INVALID_VALUE);
  // Pageable memory of the host is read before the call returns.
  const auto* const start = static_cast<const unsigned char*>(from);
  const auto staged = std::make_shared<std::vector<unsigned char>>(start, start + bytes);
  RETURN(enqueue(stream, false, [=] { std::memcpy(reinterpret_cast<void*>(to), staged->data(), bytes); }));
}

CUresult CUDAAPI cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream handle) {
  TRY(unsafe());
  REFUSE_IF(allocation_of(from, bytes) == nullptr, INVALID_VALUE);
  Stream* const stream = streams.find(handle);
  REFUSE_IF(stream == nullptr, INVALID_HANDLE);
  // To pageable memory the call returns when the copy is done, and holds the thread until the stream is there.
  if (!stream->waiting.empty()) std::this_thread::sleep_until(stream->due);
  run(stream->waiting);
  if (!stream->waiting.empty()) std::fprintf(stderr, "CUDA on the CPU: a copy would hold the thread that others wait for\n");
  REFUSE_IF(!stream->waiting.empty(), LAUNCH_FAILED);
  std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
  RETURN(broken);
}

CUresult CUDAAPI cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  REFUSE_IF(allocation_of(to, bytes) == nullptr || allocation_of(from, bytes) == nullptr, INVALID_VALUE);
  RETURN(enqueue(stream, true, [=] {
    std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
  }));
}

CUresult CUDAAPI cuMemsetD8Async(CUdeviceptr to, unsigned char byte, std::size_t bytes, CUstream stream) {
  REFUSE_IF(allocation_of(to, bytes) == nullptr, INVALID_VALUE);
  RETURN(enqueue(stream, true, [=] { std::memset(reinterpret_cast<void*>(to), byte, bytes); }));
}

CUresult CUDAAPI cuModuleLoadData(CUmodule* module, const void* image) {
  TRY(unsafe());
  std::unique_ptr<Module> loaded;
  TRY(load_image(image, loaded));
  *module = modules.add<CUmodule>(std::move(loaded));
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuModuleUnload(CUmodule module) {
  TRY(unsafe());
  Module* const found = modules.find(module);
  REFUSE_IF(found == nullptr, INVALID_HANDLE);
  run_everything();
  std::erase_if(functions.live, [=](const auto& each) { return each.second->module == found; });
  dlclose(found->library);
  modules.remove(module);
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  TRY(usable());
  const Module* const found = modules.find(module);
  REFUSE_IF(found == nullptr, INVALID_HANDLE);
  REFUSE_IF(std::strcmp(found->image->name, name) != 0, NOT_FOUND);
  *function = functions.add<CUfunction>(std::make_unique<Function>(Function{found, found->image}));
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction function) {
  REFUSE_IF(functions.find(function) == nullptr, INVALID_HANDLE);
  // The virtual architecture that a kernel was compiled for.
  REFUSE_IF(static_cast<int>(attribute) != 5, INVALID_VALUE);
  *value = capability();
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuLaunchKernel(
  CUfunction handle, unsigned int x, unsigned int y, unsigned int z, unsigned int threads, unsigned int threads_y,
  unsigned int threads_z, unsigned int shared_bytes, CUstream stream, void** parameters, void** extra
) {
  const Function* const function = functions.find(handle);
  REFUSE_IF(function == nullptr, INVALID_HANDLE);
  REFUSE_IF(x == 0 || y == 0 || z == 0 || threads == 0 || threads_y != 1 || threads_z != 1, INVALID_VALUE);
  REFUSE_IF(threads > MAX_THREADS || threads % WARP_THREADS > 1, LAUNCH_OUT_OF_RESOURCES);
  REFUSE_IF(shared_bytes != 0 || extra != nullptr || parameters == nullptr, INVALID_VALUE);
  Launch launch{*function, {x, y, z}, threads, {}};
  // Read before the call returns; the caller may reuse the memory.
  for (unsigned int at = 0; at < function->kernel->parameters; at++) {
    launch.pointers.push_back(*static_cast<void**>(parameters[at]));
  }
  RETURN(enqueue(stream, true, std::move(launch)));
}

CUresult CUDAAPI cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction handle, void** parameters, void** extra) {
  constexpr int PROGRAMMATIC_STREAM_SERIALIZATION = 6;
  static_assert(sizeof(CUlaunchConfig) == 56 && sizeof(CUlaunchAttribute) == 72);
  REFUSE_IF(config == nullptr || config->numAttrs > 1, INVALID_VALUE);
  if (config->numAttrs == 1) {
    const CUlaunchAttribute& attribute = config->attrs[0];
    REFUSE_IF(static_cast<int>(attribute.id) != PROGRAMMATIC_STREAM_SERIALIZATION, INVALID_VALUE);
    REFUSE_IF(attribute.value.programmaticStreamSerializationAllowed != 1 || capability() < 90, INVALID_VALUE);
  }
  const CUlaunchConfig& of = *config;
  return cuLaunchKernel(
    handle, of.gridDimX, of.gridDimY, of.gridDimZ, of.blockDimX, of.blockDimY, of.blockDimZ, of.sharedMemBytes, of.hStream,
    parameters, extra
  );
}

CUresult CUDAAPI cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data) {
  RETURN(enqueue(stream, true, [=] { function(data); }));
}

CUresult CUDAAPI cuStreamCreate(CUstream* stream, unsigned int flags) {
  TRY(usable());
  REFUSE_IF(flags > 1, INVALID_VALUE);
  *stream = streams.add<CUstream>(std::make_unique<Stream>());
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuStreamDestroy_v2(CUstream stream) {
  TRY(usable());
  Stream* const found = streams.find(stream);
  REFUSE_IF(found == nullptr, INVALID_HANDLE);
  REFUSE_IF(found->capturing, CAPTURE_UNSUPPORTED);
  run(found->waiting);
  streams.remove(stream);
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuEventCreate(CUevent* event, unsigned int flags) {
  TRY(usable());
  REFUSE_IF(flags != 0, INVALID_VALUE);
  *event = events.add<CUevent>(std::make_unique<Event>());
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuEventDestroy_v2(CUevent event) {
  TRY(usable());
  REFUSE_IF(events.find(event) == nullptr, INVALID_HANDLE);
  run_everything();
  events.remove(event);
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuEventRecord(CUevent handle, CUstream stream) {
  Event* const event = events.find(handle);
  REFUSE_IF(event == nullptr, INVALID_HANDLE);
  TRY(enqueue(stream, false, [=] {
    // It may have been destroyed before it was reached.
    if (Event* const reached = events.find(handle)) {
      reached->passed = true;
      reached->when = Clock::now();
    }
  }));
  event->recorded = true;
  event->passed = false;
  event->due = later();
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuEventQuery(CUevent handle) {
  TRY(unsafe());
  Event* const event = events.find(handle);
  REFUSE_IF(event == nullptr, INVALID_HANDLE);
  if (event->recorded && !event->passed) {
    REFUSE_IF(Clock::now() < event->due, NOT_READY);
    run_everything();
    REFUSE_IF(!event->passed && broken == SUCCESS, NOT_READY);
  }
  RETURN(broken);
}

CUresult CUDAAPI cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  TRY(usable());
  const Event* const first = events.find(start);
  const Event* const last = events.find(end);
  REFUSE_IF(first == nullptr || last == nullptr || !first->recorded || !last->recorded, INVALID_HANDLE);
  REFUSE_IF(!first->passed || !last->passed, NOT_READY);
  *milliseconds = std::chrono::duration<float, std::milli>(last->when - first->when).count();
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode) {
  TRY(usable());
  Stream* const stream = streams.find(handle);
  REFUSE_IF(stream == nullptr, INVALID_HANDLE);
  REFUSE_IF(static_cast<int>(mode) != 1, INVALID_VALUE);
  REFUSE_IF(stream->capturing, INVALID_VALUE);
  stream->capturing = true;
  stream->invalidated = false;
  stream->captured.clear();
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuStreamEndCapture(CUstream handle, CUgraph* graph) {
  TRY(usable());
  Stream* const stream = streams.find(handle);
  REFUSE_IF(stream == nullptr, INVALID_HANDLE);
  REFUSE_IF(!stream->capturing, CAPTURE_UNMATCHED);
  stream->capturing = false;
  *graph = nullptr;
  REFUSE_IF(stream->invalidated, CAPTURE_INVALIDATED);
  *graph = graphs.add<CUgraph>(std::make_unique<Graph>(std::move(stream->captured)));
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long flags) {
  TRY(unsafe());
  const Graph* const found = graphs.find(graph);
  REFUSE_IF(found == nullptr, INVALID_HANDLE);
  REFUSE_IF(flags != 0, INVALID_VALUE);
  *executable = executables.add<CUgraphExec>(std::make_unique<Graph>(*found));
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuGraphLaunch(CUgraphExec executable, CUstream stream) {
  const Graph* const found = executables.find(executable);
  REFUSE_IF(found == nullptr, INVALID_HANDLE);
  for (const Work& work : *found) TRY(enqueue(stream, true, work));
  RETURN(SUCCESS);
}

CUresult CUDAAPI cuGraphDestroy(CUgraph graph) {
  TRY(usable());
  RETURN(graphs.remove(graph) ? SUCCESS : INVALID_HANDLE);
}

CUresult CUDAAPI cuGraphExecDestroy(CUgraphExec executable) {
  TRY(usable());
  REFUSE_IF(executables.find(executable) == nullptr, INVALID_HANDLE);
  run_everything();
  executables.remove(executable);
  RETURN(SUCCESS);
}

/** For work of cuLaunchHostFunc that stands for a kernel: it has to wait for others, and is asked again later. */
void hirec_on_cpu_ask_again() { is_held = true; }

/** For tests: how many objects of all kinds are alive, contexts included. */
int hirec_on_cpu_live() {
  int contexts = 0;
  for (const int count : retained) contexts += count;
  return contexts + static_cast<int>(allocations.size() + modules.live.size() + streams.live.size() + events.live.size()
    + graphs.live.size() + executables.live.size());
}

/** For tests: forgets a mistake, which on a card only the end of the process does. */
void hirec_on_cpu_mend() { broken = SUCCESS; }

} // extern "C"
