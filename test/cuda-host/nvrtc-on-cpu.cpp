// NVRTC without CUDA: the calls of runtime/cuda/nvrtc.ts with the C ABI of libnvrtc.so, which let nvcc-on-cpu.sh compile.
//
// Environment: HIREC_NVRTC_ON_CPU_ARCHITECTURE, the newest architecture that it knows, 120 without it.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace {

struct Program {
  std::string source;
  std::string name;
  std::string log;
  std::string image;
};

constexpr int SUCCESS = 0;
constexpr int INVALID_INPUT = 3;
constexpr int INVALID_PROGRAM = 4;
constexpr int INVALID_OPTION = 5;
constexpr int COMPILATION = 6;
constexpr int KNOWN[] = {75, 80, 86, 89, 90, 100, 120};

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int newest() {
  const char* const text = std::getenv("HIREC_NVRTC_ON_CPU_ARCHITECTURE");
  return text == nullptr ? 120 : std::atoi(text);
}

/** The folder of this library holds the compiler; nvcc-on-cpu.sh. */
std::string compiler() { return std::getenv("HIREC_NVCC_ON_CPU"); }

} // namespace

extern "C" {

int nvrtcVersion(int* major, int* minor) {
  *major = 0;
  *minor = 1;
  return SUCCESS;
}

int nvrtcGetNumSupportedArchs(int* count) {
  *count = 0;
  for (const int each : KNOWN) *count += each <= newest();
  return SUCCESS;
}

int nvrtcGetSupportedArchs(int* architectures) {
  for (const int each : KNOWN)
    if (each <= newest()) *architectures++ = each;
  return SUCCESS;
}

const char* nvrtcGetErrorString(int code) {
  return code == COMPILATION ? "NVRTC_ERROR_COMPILATION" : code == INVALID_OPTION ? "NVRTC_ERROR_INVALID_OPTION" : "NVRTC_ERROR";
}

int nvrtcCreateProgram(Program** program, const char* source, const char* name, int headers, const char* const*, const char* const*) {
  if (headers != 0) return INVALID_INPUT;
  *program = new Program{source, name, "", ""};
  return SUCCESS;
}

int nvrtcDestroyProgram(Program** program) {
  delete *program;
  *program = nullptr;
  return SUCCESS;
}

int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
  if (program == nullptr) return INVALID_PROGRAM;
  std::string architecture;
  bool has_standard = false;
  for (int at = 0; at < count; at++) {
    const std::string option = options[at];
    if (option.rfind("--gpu-architecture=", 0) == 0) architecture = option.substr(19);
    else if (option == "--std=c++17") has_standard = true;
    else return INVALID_OPTION;
  }
  const std::size_t digits = architecture.find('_');
  if (!has_standard || digits == std::string::npos || std::atoi(architecture.c_str() + digits + 1) > newest()) return INVALID_OPTION;
  char folder[] = "/tmp/hirec-nvrtc-XXXXXX";
  if (mkdtemp(folder) == nullptr) return COMPILATION;
  const std::string path = std::string(folder) + "/" + program->name;
  std::ofstream(path) << program->source;
  const std::string kind = architecture.rfind("compute_", 0) == 0 ? " -ptx" : " -cubin";
  const std::string command = compiler() + " -std=c++17" + kind + " -arch=" + architecture + " '" + path + "' -o '" + path + ".image' 2> '" + path + ".log'";
  const int status = std::system(command.c_str());
  program->log = contents(path + ".log");
  program->image = contents(path + ".image");
  std::system((std::string("rm -rf ") + folder).c_str());
  return status == 0 ? SUCCESS : COMPILATION;
}

int nvrtcGetProgramLogSize(Program* program, std::size_t* bytes) {
  *bytes = program->log.size() + 1;
  return SUCCESS;
}

int nvrtcGetProgramLog(Program* program, char* log) {
  std::memcpy(log, program->log.c_str(), program->log.size() + 1);
  return SUCCESS;
}

int nvrtcGetCUBINSize(Program* program, std::size_t* bytes) {
  *bytes = program->image.compare(8, 2, "sm") == 0 ? program->image.size() : 0;
  return SUCCESS;
}

int nvrtcGetCUBIN(Program* program, char* image) {
  std::memcpy(image, program->image.data(), program->image.size());
  return SUCCESS;
}

int nvrtcGetPTXSize(Program* program, std::size_t* bytes) {
  *bytes = program->image.size();
  return SUCCESS;
}

int nvrtcGetPTX(Program* program, char* image) {
  std::memcpy(image, program->image.data(), program->image.size());
  return SUCCESS;
}

} // extern "C"
