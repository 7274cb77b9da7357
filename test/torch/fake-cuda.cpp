// A libcuda.so.1 that runs kernels on the CPU, with the fibers of test/cuda-host. build.ts puts the kernels in front of it.
// Memory is torch's, on the host, so that it is not the driver of test/cuda-host, which owns what it runs on. It holds
// callers to the rules of the driver API: a context must be current, functions come from modules that were loaded, a launch
// has blocks of one dimension and no dynamic shared memory.

#include "../cuda-host/fibers.cpp"

#include <string>

namespace {

constexpr int SUCCESS = 0, INVALID_VALUE = 1, INVALID_IMAGE = 200, INVALID_CONTEXT = 201, NOT_FOUND = 500, LAUNCH_FAILED = 719;

int the_context = 0;
thread_local void* current_context = nullptr;
std::vector<std::string*> modules;

} // namespace

extern "C" {

int cuCtxGetCurrent(void** context) {
  *context = current_context;
  return SUCCESS;
}

int cuCtxSetCurrent(void* context) {
  current_context = context;
  return context == &the_context ? SUCCESS : INVALID_CONTEXT;
}

int cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return ordinal == 0 ? SUCCESS : INVALID_VALUE;
}

int cuDevicePrimaryCtxRetain(void** context, int) {
  *context = &the_context;
  return SUCCESS;
}

int cuModuleLoadData(void** module, const char* image) {
  if (current_context == nullptr) return INVALID_CONTEXT;
  const std::string head(image, 4);
  if (head != "FAKE" && head != "\x7f" "ELF") return INVALID_IMAGE;
  modules.push_back(new std::string(head == "FAKE" ? image : head));
  *module = modules.back();
  return SUCCESS;
}

int cuModuleGetFunction(const void** function, void* module, const char* name) {
  for (unsigned int i = 0; i < cuda_kernel_count; i++) {
    const auto& image = *static_cast<std::string*>(module);
    if (cuda_kernels[i].name != std::string(name)) continue;
    // An image of the fake compiler names the kernel of its source.
    if (image.rfind("FAKE", 0) == 0 && image.find(std::string(" ") + name + "(") == std::string::npos) return NOT_FOUND;
    *function = &cuda_kernels[i];
    return SUCCESS;
  }
  return NOT_FOUND;
}

int cuDriverGetVersion(int* version) {
  *version = 13000;
  return SUCCESS;
}

int cuFuncGetAttribute(int* value, int attribute, const void*) {
  *value = 90;
  return attribute == 5 ? SUCCESS : INVALID_VALUE;
}

struct LaunchAttribute {
  int id;
  alignas(8) int value;
  int more[15];
};

struct LaunchConfig {
  unsigned int grid[3], block[3], shared;
  void* stream;
  const LaunchAttribute* attributes;
  unsigned int count;
};

int cuLaunchKernelEx(const LaunchConfig* config, const void* function, void** parameters, void** extra) {
  static_assert(sizeof(LaunchConfig) == 56 && sizeof(LaunchAttribute) == 72);
  if (current_context == nullptr) return INVALID_CONTEXT;
  const auto& [grid, block, shared, stream, attributes, count] = *config;
  if (block[1] != 1 || block[2] != 1 || shared != 0 || extra != nullptr || count > 1) return INVALID_VALUE;
  // The kernels wait for each other; one attribute says so.
  if (count == 1 && (attributes->id != 6 || attributes->value != 1)) return INVALID_VALUE;
  const auto* const kernel = static_cast<const on_cpu::Kernel*>(function);
  std::vector<void*> pointers;
  for (unsigned int i = 0; i < kernel->parameters; i++) pointers.push_back(*static_cast<void**>(parameters[i]));
  try {
    on_cpu::run_blocks(*kernel, {grid[0], grid[1], grid[2]}, block[0], pointers.data());
  } catch (const on_cpu::Mistake& mistake) {
    std::fprintf(stderr, "%s\n", mistake.what());
    return LAUNCH_FAILED;
  }
  return SUCCESS;
}

int cuGetErrorString(int result, const char** text) {
  *text = result == INVALID_CONTEXT ? "invalid device context" : result == INVALID_IMAGE ? "invalid image" : nullptr;
  return *text == nullptr ? INVALID_VALUE : SUCCESS;
}

} // extern "C"
