// What the driver of libcuda-on-cpu.cpp knows: its objects by their handles, memory between canaries, and the work that waits.

#pragma once

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
using CUfunction_attribute = int;
using CUhostFn = void (*)(void*);
struct CUlaunchAttribute {
  int id;
  char pad[4];
  union {
    char bytes[64];
    int programmaticStreamSerializationAllowed;
  } value;
};
struct CUlaunchConfig {
  unsigned int gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
  CUstream hStream;
  CUlaunchAttribute* attrs;
  unsigned int numAttrs;
};
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
  const Kernel* image;
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
  /** When what waits is done at the earliest; longer where it waits for another stream. */
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
/** Whether the work that runs now has to wait for others, see `hirec_on_cpu_ask_again`. */
bool is_held = false;
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

/** Work that waits for others stays, with all behind it. */
void run(std::vector<Work>& waiting) {
  std::vector<Work> now;
  now.swap(waiting);
  try {
    for (auto work = now.begin(); work != now.end(); work++) {
      is_held = false;
      (*work)();
      if (is_held) return waiting.assign(work, now.end());
    }
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
  into = std::make_unique<Module>(Module{library, static_cast<const Kernel*>(dlsym(library, "cuda_image"))});
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
    run_blocks(kernel, blocks, threads, pointers.data());
    for (unsigned int at = 0; at < pointers.size(); at++) {
      if (is_overrun(allocation_of(reinterpret_cast<CUdeviceptr>(pointers[at]))->second)) {
        fail("%s: stores beyond parameter %u", kernel.name, at, 0);
      }
    }
  }
};

} // namespace

} // namespace on_cpu
