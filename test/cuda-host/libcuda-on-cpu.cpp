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

#include "fibers.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#if defined(CUDA_H)
#include CUDA_H
// Version 1, which every driver has, has no declaration any more where version 2 has taken its name; they are alike.
#undef cuEventElapsedTime
#else
using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st*;
using CUmodule = struct CUmod_st*;
using CUfunction = struct CUfunc_st*;
using CUstream = struct CUstream_st*;
using CUevent = struct CUevent_st*;
using CUgraph = struct CUgraph_st*;
using CUgraphExec = struct CUgraphExec_st*;
using CUdevice_attribute = int;
using CUstreamCaptureMode = int;
#define CUDAAPI
#endif

namespace on_cpu {

namespace {

enum Code {
  SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101,
  INVALID_IMAGE = 200, INVALID_CONTEXT = 201, NO_BINARY_FOR_GPU = 209, INVALID_HANDLE = 400, NOT_FOUND = 500,
  NOT_READY = 600, ILLEGAL_ADDRESS = 700, LAUNCH_OUT_OF_RESOURCES = 701, LAUNCH_FAILED = 719,
  CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURE_UNMATCHED = 903,
};

const std::map<int, const char*> NAMES = {
  {SUCCESS, "CUDA_SUCCESS"}, {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
  {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"}, {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED"},
  {NO_DEVICE, "CUDA_ERROR_NO_DEVICE"}, {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE"},
  {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE"}, {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT"},
  {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU"}, {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
  {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"}, {NOT_READY, "CUDA_ERROR_NOT_READY"},
  {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"}, {LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"},
  {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"}, {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
  {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
  {CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED"},
};

constexpr std::size_t ALIGNMENT = 256;
constexpr unsigned int MAX_THREADS = 1024;
constexpr unsigned int WARP_THREADS = 32;

using Clock = std::chrono::steady_clock;
using Work = std::function<void()>;

struct Allocation {
  std::size_t bytes;
  unsigned char* all;
};

struct Module {
  void* library;
  const Image* image;
};

struct Function {
  const Module* module;
  const Kernel* kernel;
};

struct Event {
  bool recorded = false;
  bool passed = false;
  Clock::time_point due;
  Clock::time_point when;
};

struct Stream {
  std::vector<Work> waiting;
  /** When what waits is done at the earliest. */
  Clock::time_point due;
  bool capturing = false;
  bool invalidated = false;
  std::vector<Work> captured;
};

using Graph = std::vector<Work>;

/** Objects by the handles that callers hold. Handles are large, so that one cut down to 32 bits is found. */
template <typename Object>
struct Handles {
  std::map<unsigned long long, std::unique_ptr<Object>> live;

  template <typename Handle>
  Handle add(std::unique_ptr<Object> object) {
    static unsigned long long last = 0x7e57'0000'0000;
    last += 64;
    live[last] = std::move(object);
    return reinterpret_cast<Handle>(last);
  }
  template <typename Handle>
  Object* find(Handle handle) {
    const auto found = live.find(reinterpret_cast<unsigned long long>(handle));
    return found == live.end() ? nullptr : found->second.get();
  }
  template <typename Handle>
  bool remove(Handle handle) { return live.erase(reinterpret_cast<unsigned long long>(handle)) == 1; }
};

bool initialized = false;
/** After a kernel went wrong every call fails, as it does on a card until the process ends. */
Code broken = SUCCESS;
int retained[16] = {};
CUcontext current_context = nullptr;
std::map<CUdeviceptr, Allocation> allocations;
Handles<Module> modules;
Handles<Function> functions;
Handles<Stream> streams;
Handles<Event> events;
Handles<Graph> graphs;
Handles<Graph> executables;

unsigned long long number_from(const char* name, unsigned long long otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr || *text == 0 ? otherwise : std::strtoull(text, nullptr, 10);
}

int device_count() { return static_cast<int>(number_from("HIREC_CUDA_ON_CPU_DEVICES", 1)); }
std::size_t memory_bytes() { return number_from("HIREC_CUDA_ON_CPU_MEMORY", 1ull << 30); }

Clock::time_point later() {
  return Clock::now() + std::chrono::milliseconds(number_from("HIREC_CUDA_ON_CPU_DELAY_MS", 0));
}

/** Compute capability, 90 for 9.0. */
int capability() {
  const char* const text = std::getenv("HIREC_CUDA_ON_CPU_CAPABILITY");
  int major = 9;
  int minor = 0;
  if (text != nullptr) std::sscanf(text, "%d.%d", &major, &minor);
  return major * 10 + minor;
}

std::size_t used_bytes() {
  std::size_t sum = 0;
  for (const auto& [_, allocation] : allocations) sum += allocation.bytes;
  return sum;
}

/** The allocation in which `bytes` from a pointer lie. */
const std::pair<const CUdeviceptr, Allocation>* allocation_of(CUdeviceptr pointer, std::size_t bytes = 1) {
  auto next = allocations.upper_bound(pointer);
  if (next == allocations.begin()) return nullptr;
  const auto& found = *--next;
  return pointer - found.first + bytes <= found.second.bytes ? &found : nullptr;
}

bool is_overrun(const Allocation& allocation) {
  const auto is_broken = [](unsigned char byte) { return byte != CANARY; };
  const unsigned char* const data = allocation.all + ALIGNMENT;
  return std::any_of(allocation.all, allocation.all + ALIGNMENT, is_broken)
    || std::any_of(data + allocation.bytes, data + allocation.bytes + CANARY_BYTES, is_broken);
}

/** What any call says that works on the device. */
Code usable() {
  if (!initialized) return NOT_INITIALIZED;
  if (broken != SUCCESS) return broken;
  return current_context == nullptr ? INVALID_CONTEXT : SUCCESS;
}

bool any_captures() {
  return std::any_of(streams.live.begin(), streams.live.end(), [](const auto& each) { return each.second->capturing; });
}

/** What must not be called while work is recorded; a recording in which it was is worth nothing any more. */
Code unsafe() {
  if (const Code code = usable()) return code;
  if (!any_captures()) return SUCCESS;
  for (const auto& [_, stream] : streams.live) stream->invalidated |= stream->capturing;
  return CAPTURE_UNSUPPORTED;
}

void run(std::vector<Work>& waiting) {
  std::vector<Work> now;
  now.swap(waiting);
  try {
    for (const Work& work : now) work();
  } catch (const Mistake& mistake) {
    std::fprintf(stderr, "CUDA on the CPU: %s\n", mistake.what());
    broken = LAUNCH_FAILED;
  }
}

void run_everything() {
  for (const auto& [_, stream] : streams.live) run(stream->waiting);
}

/** Puts work on a stream, or into what it records. */
Code enqueue(CUstream handle, bool can_be_recorded, Work work) {
  if (const Code code = usable()) return code;
  Stream* const stream = streams.find(handle);
  if (stream == nullptr) return INVALID_HANDLE;
  stream->due = later();
  if (!stream->capturing) stream->waiting.push_back(std::move(work));
  else if (can_be_recorded) stream->captured.push_back(std::move(work));
  else return unsafe();
  return SUCCESS;
}

/** What lies before the library in an image, made by nvcc-on-cpu.sh: a line of 32 characters. */
struct ImageHeader {
  char magic[8];
  /** `sm` for one card, `ptx` for it and all later ones. */
  char kind[4];
  char architecture[4];
  char bytes[16];
};
static_assert(sizeof(ImageHeader) == 32);

Code load_image(const void* data, std::unique_ptr<Module>& into) {
  ImageHeader header;
  std::memcpy(&header, data, sizeof header);
  if (std::memcmp(header.magic, "HIRECPU ", 8) != 0) return INVALID_IMAGE;
  const int built = std::atoi(header.architecture);
  const int card = capability();
  const bool same = built / 10 == card / 10 && built <= card;
  if (!(std::memcmp(header.kind, "ptx", 3) == 0 ? built <= card : same)) return NO_BINARY_FOR_GPU;
  const std::size_t bytes = std::strtoull(header.bytes, nullptr, 10);
  // A path of its own: the dynamic linker takes two libraries of one name for the same.
  char path[] = "/tmp/hirec-image-XXXXXX";
  const int file = mkstemp(path);
  if (file < 0) return INVALID_IMAGE;
  const bool is_whole = write(file, static_cast<const char*>(data) + sizeof header, bytes) == static_cast<ssize_t>(bytes);
  close(file);
  void* const library = is_whole ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
  unlink(path);
  if (library == nullptr) {
    std::fprintf(stderr, "CUDA on the CPU: %s\n", is_whole ? dlerror() : "the image cannot be written to /tmp");
    return INVALID_IMAGE;
  }
  into = std::make_unique<Module>(Module{library, static_cast<const Image*>(dlsym(library, "cuda_image"))});
  return SUCCESS;
}

struct Launch {
  Function function;
  uint3 blocks;
  unsigned int threads;
  std::vector<void*> pointers;

  void operator()() const {
    const Kernel& kernel = *function.kernel;
    for (unsigned int at = 0; at < pointers.size(); at++) {
      const auto address = reinterpret_cast<CUdeviceptr>(pointers[at]);
      if (allocation_of(address) == nullptr) fail("%s: parameter %u points to no memory of the device", kernel.name, at, 0);
      if (address % 16 != 0) fail("%s: parameter %u is not a multiple of 16", kernel.name, at, 0);
    }
    run_blocks(kernel, function.module->image->shared, blocks, threads, pointers.data());
    for (unsigned int at = 0; at < pointers.size(); at++) {
      if (is_overrun(allocation_of(reinterpret_cast<CUdeviceptr>(pointers[at]))->second)) {
        fail("%s: stores beyond parameter %u", kernel.name, at, 0);
      }
    }
  }
};

} // namespace

} // namespace on_cpu

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
  std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
  RETURN(broken);
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
  REFUSE_IF(std::strcmp(found->image->kernel.name, name) != 0, NOT_FOUND);
  *function = functions.add<CUfunction>(std::make_unique<Function>(Function{found, &found->image->kernel}));
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
    event->passed = true;
    event->when = Clock::now();
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
