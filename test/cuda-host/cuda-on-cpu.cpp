// Runs CUDA kernels on a CPU: a fiber per thread, block after block. Blocks, and threads between two waits, take turns in
// a random order that a seed repeats; shared memory and fresh buffers hold garbage. Written for finding mistakes: a thread
// that leaves others waiting, threads that wait at different places, and stores beyond a buffer end the run.
//
// usage: PROGRAM JOB RESULT, both binary and little-endian. A file of several programs runs the one by whose name it is
// called. The job, made by run.ts: u32 seeds, launches, kernels, buffers; the seeds; per kernel blocks, threads, parameters
// and the numbers of its buffers; per buffer u32 kind (0 given once, 1 given for every launch, 2 to be returned) and bytes;
// then the contents of all buffers of kind 0, and those of kind 1 launch by launch. The result: for every seed and launch,
// the buffers of kind 2.

#include "cuda-on-cpu.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <ucontext.h>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace on_cpu {

Place place;

namespace {

constexpr std::size_t STACK_BYTES = 64 * 1024;
constexpr unsigned int WARP = 32;
constexpr unsigned char SHARED_GARBAGE = 0xa5;
constexpr std::uint32_t BUFFER_GARBAGE = 0xfff0dead;
constexpr std::size_t CANARY_BYTES = 256;
constexpr unsigned char CANARY = 0xc3;

[[noreturn]] void fail(const char* format, const char* name, unsigned int a, unsigned int b) {
  std::fprintf(stderr, format, name, a, b);
  std::fprintf(stderr, "\n");
  std::_Exit(3);
}

enum class State { ready, at_block, at_warp, done };

struct Fiber {
  ucontext_t start;
  std::jmp_buf resume;
  bool started = false;
  State state = State::ready;
  int line = 0;
  std::uint32_t mask = 0;
  // Two places in turn: a lane may be one exchange ahead of another, never two.
  std::uint32_t brought[2] = {0, 0};
  unsigned int turn = 0;
  // Not filled: most of it is never touched.
  std::unique_ptr<char[]> stack{new char[STACK_BYTES]};
  void* fake_stack = nullptr;
};

/** The fibers of a block, by how many they are; made once. */
std::map<unsigned int, std::vector<Fiber>> fibers_of;
std::vector<Fiber>* team = nullptr;
std::vector<unsigned int> ready;
Fiber* current = nullptr;
bool any_at_block = false;
bool any_released = false;
std::mt19937 order;
const Kernel* kernel = nullptr;
void* const* arguments = nullptr;

#if defined(__SANITIZE_ADDRESS__)
// The sanitizer has to know which stack is in use; it takes a longjmp to another one for an error, so contexts are
// swapped, which is slower.
ucontext_t scheduler;
const void* scheduler_stack = nullptr;
std::size_t scheduler_bytes = 0;

void to_scheduler(bool forever) {
  Fiber* const own = current;
  __sanitizer_start_switch_fiber(forever ? nullptr : &own->fake_stack, scheduler_stack, scheduler_bytes);
  swapcontext(&own->start, &scheduler);
  __sanitizer_finish_switch_fiber(own->fake_stack, &scheduler_stack, &scheduler_bytes);
}

void to_fiber(Fiber& fiber) {
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, fiber.stack.get(), STACK_BYTES);
  swapcontext(&scheduler, &fiber.start);
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
}
#else
// swapcontext asks the kernel for the signal mask each time; after the start, jumps do the same forty times faster.
std::jmp_buf scheduler;

void to_scheduler(bool) {
  if (_setjmp(current->resume) == 0) _longjmp(scheduler, 1);
}

void to_fiber(Fiber& fiber) {
  if (_setjmp(scheduler) != 0) return;
  if (fiber.started) _longjmp(fiber.resume, 1);
  fiber.started = true;
  setcontext(&fiber.start);
}
#endif

void fiber_main() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_bytes);
#endif
  kernel->call(arguments);
  current->state = State::done;
  to_scheduler(true);
}

unsigned int number_of(const Fiber& fiber) { return static_cast<unsigned int>(&fiber - team->data()); }

void wait(State state, int line) {
  current->state = state;
  current->line = line;
  to_scheduler(false);
}

/** Lets a warp go on when all the lanes that its mask names have come to one place. */
void release_warp(unsigned int first) {
  const std::uint32_t mask = (*team)[first].mask;
  for (unsigned int lane = 0; lane < WARP; lane++) {
    if ((mask >> lane & 1u) == 0u) continue;
    if (first + lane >= team->size()) return;
    const Fiber& fiber = (*team)[first + lane];
    if (fiber.state != State::at_warp) return;
    if (fiber.line != current->line || fiber.mask != current->mask) {
      fail("%s: lanes of a warp wait at lines %u and %u", kernel->name, current->line, fiber.line);
    }
  }
  for (unsigned int lane = 0; lane < WARP; lane++) {
    if ((mask >> lane & 1u) == 0u) continue;
    (*team)[first + lane].state = State::ready;
    ready.push_back(first + lane);
  }
}

/** Lets the block go on once nobody can: then all wait for each other, or never will. */
void release_block() {
  const Fiber* first = nullptr;
  unsigned int waiting = 0;
  for (Fiber& fiber : *team) {
    if (fiber.state == State::at_warp) fail("%s: thread %u waits for its warp at line %u forever", kernel->name, number_of(fiber), fiber.line);
    if (fiber.state != State::at_block) continue;
    waiting++;
    if (first == nullptr) first = &fiber;
    if (fiber.line != first->line) fail("%s: threads wait at lines %u and %u", kernel->name, first->line, fiber.line);
  }
  if (waiting != 0 && waiting != team->size()) {
    fail("%s: %u threads wait at line %u for some that have ended", kernel->name, waiting, first->line);
  }
  for (Fiber& fiber : *team) {
    if (fiber.state != State::at_block) continue;
    fiber.state = State::ready;
    ready.push_back(number_of(fiber));
  }
  any_released = any_at_block;
  any_at_block = false;
}

void run_block(uint3 block) {
  if (kernel->shared != nullptr) {
    std::memset(kernel->shared, SHARED_GARBAGE, static_cast<std::size_t>(kernel->shared_end - kernel->shared));
  }
  ready.clear();
  for (Fiber& fiber : *team) {
    fiber.started = false;
    fiber.state = State::ready;
    fiber.turn = 0;
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = fiber.stack.get();
    fiber.start.uc_stack.ss_size = STACK_BYTES;
    fiber.start.uc_link = nullptr;
    makecontext(&fiber.start, fiber_main, 0);
    ready.push_back(number_of(fiber));
  }
  while (!ready.empty()) {
    while (!ready.empty()) {
      std::swap(ready[order() % ready.size()], ready.back());
      const unsigned int thread = ready.back();
      ready.pop_back();
      current = &(*team)[thread];
      place = {{thread, 0, 0}, block};
      to_fiber(*current);
      if (current->state == State::at_warp) release_warp(thread / WARP * WARP);
    }
    release_block();
  }
}

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
  kernel = &each;
  std::vector<void*> pointers;
  for (const unsigned int buffer : launch.buffers) pointers.push_back(buffers[buffer].data);
  arguments = pointers.data();
  team = &fibers_of.try_emplace(launch.threads, launch.threads).first->second;
  std::vector<uint3> blocks;
  for (unsigned int z = 0; z < launch.blocks.z; z++)
    for (unsigned int y = 0; y < launch.blocks.y; y++)
      for (unsigned int x = 0; x < launch.blocks.x; x++) blocks.push_back({x, y, z});
  std::shuffle(blocks.begin(), blocks.end(), order);
  for (const uint3 block : blocks) run_block(block);
  for (const unsigned int buffer : launch.buffers) {
    if (buffers[buffer].is_overrun()) fail("%s: stores beyond buffer %u of %u", kernel->name, buffer, static_cast<unsigned int>(buffers.size()));
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

bool wait_for_block(int line, bool any) {
  any_at_block |= any;
  wait(State::at_block, line);
  return any_released;
}

std::uint32_t exchange_in_warp(int line, std::uint32_t mask, std::uint32_t value, unsigned int lane) {
  Fiber& own = *current;
  const unsigned int turn = own.turn;
  own.mask = mask;
  own.brought[turn] = value;
  own.turn = 1 - turn;
  wait(State::at_warp, line);
  return (*team)[number_of(own) / WARP * WARP + lane].brought[turn];
}

std::uint32_t ballot_in_warp(int line, std::uint32_t mask, bool predicate) {
  const unsigned int turn = current->turn;
  exchange_in_warp(line, mask, predicate ? 1u : 0u, number_of(*current) % WARP);
  const Fiber* const warp = &(*team)[number_of(*current) / WARP * WARP];
  std::uint32_t bits = 0;
  for (unsigned int lane = 0; lane < WARP; lane++) {
    if ((mask >> lane & 1u) != 0u) bits |= warp[lane].brought[turn] << lane;
  }
  return bits;
}

/** The program of a name, which may be a path. */
const Program& program_of(const char* path) {
  const char* const slash = std::strrchr(path, '/');
  const char* const name = slash == nullptr ? path : slash + 1;
  for (const Program* each = cuda_programs; each->name != nullptr; each++) {
    if (std::strcmp(each->name, name) == 0) return *each;
  }
  fail("there is no program %s", name, 0, 0);
}

int main(const Program& program, const char* job_path, const char* result_path) {
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
    order.seed(seed);
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
  if (count == 3) return on_cpu::main(on_cpu::program_of(arguments[0]), arguments[1], arguments[2]);
  std::fprintf(stderr, "usage: %s JOB RESULT\n", arguments[0]);
  return 2;
}
