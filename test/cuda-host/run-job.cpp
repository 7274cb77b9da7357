// The program of run.ts: runs the kernels that it is linked with, in launch order, on the buffers of a job. Buffers hold
// garbage first, and stores beyond one end the run.
//
// usage: PROGRAM JOB RESULT, both binary and little-endian. A file of several programs runs the one by whose name it is
// called. The job, made by run.ts: u32 seeds, launches, kernels, buffers; the seeds; per kernel blocks, threads, parameters
// and the numbers of its buffers; per buffer u32 kind (0 given once, 1 given for every launch, 2 to be returned) and bytes;
// then the contents of all buffers of kind 0, and those of kind 1 launch by launch. The result: for every seed and launch,
// the buffers of kind 2.

#include "fibers.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

/** The programs of the file, of which the last is named null; generated. */
extern const on_cpu::Program cuda_programs[];

namespace on_cpu {

namespace {

struct Launch {
  uint3 blocks;
  unsigned int threads;
  std::vector<unsigned int> buffers;
};

/** A buffer of exactly its size between canaries; 16-byte aligned, as device memory is. */
struct Buffer {
  std::uint32_t kind = 0;
  std::size_t bytes = 0;
  unsigned char* data = nullptr;
  unsigned char* all = nullptr;

  void allocate() {
#if defined(__SANITIZE_ADDRESS__)
    // The sanitizer's own red zones catch loads too.
    data = static_cast<unsigned char*>(std::malloc(bytes));
#else
    all = static_cast<unsigned char*>(std::aligned_alloc(16, (bytes + 2 * CANARY_BYTES + 15) / 16 * 16));
    data = all + CANARY_BYTES;
    std::memset(all, CANARY, CANARY_BYTES);
    std::memset(data + bytes, CANARY, CANARY_BYTES);
#endif
  }

  void release() const {
#if defined(__SANITIZE_ADDRESS__)
    std::free(data);
#else
    std::free(all);
#endif
  }

  void fill_with_garbage() {
    for (std::size_t at = 0; at < bytes; at++) data[at] = static_cast<unsigned char>(BUFFER_GARBAGE >> at % 4 * 8);
  }

  bool is_overrun() const {
    if (all == nullptr) return false;
    const auto is_broken = [](unsigned char byte) { return byte != CANARY; };
    return std::any_of(all, data, is_broken) || std::any_of(data + bytes, data + bytes + CANARY_BYTES, is_broken);
  }
};

void run_kernel(const Kernel& each, const Launch& launch, const std::vector<Buffer>& buffers) {
  std::vector<void*> pointers;
  for (const unsigned int buffer : launch.buffers) pointers.push_back(buffers[buffer].data);
  run_blocks(each, launch.blocks, launch.threads, pointers.data());
  for (const unsigned int buffer : launch.buffers) {
    if (buffers[buffer].is_overrun()) fail("%s: stores beyond buffer %u of %u", each.name, buffer, static_cast<unsigned int>(buffers.size()));
  }
}

void read(std::FILE* file, void* into, std::size_t bytes) {
  if (std::fread(into, 1, bytes, file) != bytes) fail("%s ends after %u of %u bytes", "the job", 0, 0);
}

std::uint32_t read_number(std::FILE* file) {
  std::uint32_t number;
  read(file, &number, sizeof number);
  return number;
}

} // namespace

/** The program of a name, which may be a path. */
const Program& program_of(const char* path) {
  const char* const slash = std::strrchr(path, '/');
  const char* const name = slash == nullptr ? path : slash + 1;
  for (const Program* each = cuda_programs; each->name != nullptr; each++) {
    if (std::strcmp(each->name, name) == 0) return *each;
  }
  fail("there is no program %s", name, 0, 0);
}

int run_job(const Program& program, const char* job_path, const char* result_path) {
  std::FILE* const job = std::fopen(job_path, "rb");
  std::FILE* const result = std::fopen(result_path, "wb");
  if (job == nullptr || result == nullptr) fail("%s cannot be opened", job == nullptr ? job_path : result_path, 0, 0);
  std::vector<std::uint32_t> seeds(read_number(job));
  const std::uint32_t launch_count = read_number(job);
  std::vector<Launch> launches(read_number(job));
  std::vector<Buffer> buffers(read_number(job));
  if (launches.size() != program.kernel_count) fail("%s has %u kernels, not %u", "the program", program.kernel_count, static_cast<unsigned int>(launches.size()));
  for (std::uint32_t& seed : seeds) seed = read_number(job);
  for (Launch& launch : launches) {
    launch.blocks.x = read_number(job);
    launch.blocks.y = read_number(job);
    launch.blocks.z = read_number(job);
    launch.threads = read_number(job);
    launch.buffers.resize(read_number(job));
    for (unsigned int& buffer : launch.buffers) buffer = read_number(job);
  }
  for (Buffer& buffer : buffers) {
    buffer.kind = read_number(job);
    buffer.bytes = read_number(job);
    buffer.allocate();
  }
  for (Buffer& buffer : buffers)
    if (buffer.kind == 0) read(job, buffer.data, buffer.bytes);
  const long inputs = std::ftell(job);
  for (const std::uint32_t seed : seeds) {
    seed_order(seed);
    std::fseek(job, inputs, SEEK_SET);
    for (std::uint32_t launch = 0; launch < launch_count; launch++) {
      for (Buffer& buffer : buffers) {
        if (buffer.kind == 1) read(job, buffer.data, buffer.bytes);
        if (buffer.kind == 2) buffer.fill_with_garbage();
      }
      for (unsigned int each = 0; each < launches.size(); each++) run_kernel(program.kernels[each], launches[each], buffers);
      for (const Buffer& buffer : buffers)
        if (buffer.kind == 2) std::fwrite(buffer.data, 1, buffer.bytes, result);
    }
  }
  for (const Buffer& buffer : buffers) buffer.release();
  std::fclose(job);
  return std::fclose(result);
}

} // namespace on_cpu

int main(int count, char** arguments) {
  try {
    if (count == 3) return on_cpu::run_job(on_cpu::program_of(arguments[0]), arguments[1], arguments[2]);
  } catch (const on_cpu::Mistake& mistake) {
    std::fprintf(stderr, "%s\n", mistake.what());
    // Fibers that were left in the middle are nobody's to clean up.
    std::_Exit(3);
  }
  std::fprintf(stderr, "usage: %s JOB RESULT\n", arguments[0]);
  return 2;
}
