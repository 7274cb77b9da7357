// A libnvrtc.so.12 for cards up to sm_90, whose code is the text of the source behind the options. A source with #error is
// refused with a log.

#include <cstddef>
#include <cstring>
#include <string>

namespace {

struct Program {
  std::string source, name, log, image;
};

void give(const std::string& text, char* into) { std::memcpy(into, text.c_str(), text.size() + 1); }

} // namespace

extern "C" {

int nvrtcVersion(int* major, int* minor) {
  *major = 12;
  *minor = 4;
  return 0;
}

int nvrtcGetNumSupportedArchs(int* count) {
  *count = 3;
  return 0;
}

int nvrtcGetSupportedArchs(int* architectures) {
  architectures[0] = 80;
  architectures[1] = 86;
  architectures[2] = 90;
  return 0;
}

int nvrtcCreateProgram(Program** program, const char* source, const char* name, int, const char**, const char**) {
  *program = new Program{source, name, "", ""};
  return 0;
}

int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
  if (program->source.find("#error") != std::string::npos) {
    program->log = program->name + "(1): error: #error directive";
    return 6;
  }
  program->image = "FAKE";
  for (int i = 0; i < count; i++) program->image += std::string(" ") + options[i];
  program->image += "\n" + program->source;
  return 0;
}

int nvrtcGetProgramLogSize(const Program* program, std::size_t* size) {
  *size = program->log.size() + 1;
  return 0;
}

int nvrtcGetProgramLog(const Program* program, char* log) {
  give(program->log, log);
  return 0;
}

int nvrtcGetCUBINSize(const Program* program, std::size_t* size) {
  *size = program->image.size() + 1;
  return 0;
}

int nvrtcGetCUBIN(const Program* program, char* image) {
  give(program->image, image);
  return 0;
}

int nvrtcGetPTXSize(const Program* program, std::size_t* size) { return nvrtcGetCUBINSize(program, size); }

int nvrtcGetPTX(const Program* program, char* image) { return nvrtcGetCUBIN(program, image); }

int nvrtcDestroyProgram(Program** program) {
  delete *program;
  *program = nullptr;
  return 0;
}

const char* nvrtcGetErrorString(int) { return "NVRTC_ERROR_COMPILATION"; }

} // extern "C"
