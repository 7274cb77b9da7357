// Runs the blocks of CUDA kernels on a CPU: a fiber per thread, block after block. Blocks, and threads between two waits,
// take turns in a random order that a seed repeats; shared memory holds garbage first. Written for finding mistakes: a
// thread that leaves others waiting, and threads that wait at different places, end the run.

#include "fibers.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
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

} // namespace

void fail(const char* format, const char* name, unsigned int a, unsigned int b) {
  char text[256];
  std::snprintf(text, sizeof text, format, name, a, b);
  throw Mistake(text);
}

void seed_order(std::uint32_t seed) { order.seed(seed); }

void run_blocks(const Kernel& each, uint3 count, unsigned int threads, void* const* pointers) {
  kernel = &each;
  arguments = pointers;
  team = &fibers_of.try_emplace(threads, threads).first->second;
  std::vector<uint3> blocks;
  for (unsigned int z = 0; z < count.z; z++)
    for (unsigned int y = 0; y < count.y; y++)
      for (unsigned int x = 0; x < count.x; x++) blocks.push_back({x, y, z});
  std::shuffle(blocks.begin(), blocks.end(), order);
  for (const uint3 block : blocks) run_block(block);
}

void wait_for_block(int line) {
  wait(State::at_block, line);
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

void gather_in_warp(int line, std::uint32_t mask, std::uint32_t value, std::uint32_t (&values)[WARP]) {
  const unsigned int turn = current->turn;
  exchange_in_warp(line, mask, value, number_of(*current) % WARP);
  const Fiber* const warp = &(*team)[number_of(*current) / WARP * WARP];
  for (unsigned int lane = 0; lane < WARP; lane++) values[lane] = (mask >> lane & 1u) != 0u ? warp[lane].brought[turn] : 0u;
}

std::uint32_t ballot_in_warp(int line, std::uint32_t mask, bool predicate) {
  std::uint32_t predicates[WARP];
  gather_in_warp(line, mask, predicate ? 1u : 0u, predicates);
  std::uint32_t bits = 0;
  for (unsigned int lane = 0; lane < WARP; lane++) bits |= predicates[lane] << lane;
  return bits;
}

std::uint32_t or_in_warp(int line, std::uint32_t mask, std::uint32_t value) {
  std::uint32_t values[WARP];
  gather_in_warp(line, mask, value, values);
  std::uint32_t bits = 0;
  for (const std::uint32_t each : values) bits |= each;
  return bits;
}

// Where the i-th of a lane's elements lies in a matrix, as PTX ISA says it, "Matrix Fragments for mma.m16n8k32" of 8 bits and
// of .s32: `groupID = %laneid >> 2`, `threadID_in_group = %laneid % 4`.
void mma_m16n8k32(int line, int (&sums)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  std::int8_t rows[16][32];
  std::int8_t columns[32][8];
  for (unsigned int word = 0; word < 6; word++) {
    const bool is_a = word < 4;
    std::uint32_t words[WARP];
    gather_in_warp(line, 0xffffffffu, is_a ? a[word] : b[word - 4], words);
    for (unsigned int lane = 0; lane < WARP; lane++) {
      const unsigned int group = lane >> 2;
      const unsigned int thread = lane % 4;
      for (unsigned int byte = 0; byte < 4; byte++) {
        const unsigned int i = (is_a ? word : word - 4) * 4 + byte;
        const std::int8_t element = static_cast<std::int8_t>(words[lane] >> (8 * byte));
        if (is_a) {
          rows[i < 4 || (i >= 8 && i < 12) ? group : group + 8][thread * 4 + (i & 3) + (i < 8 ? 0 : 16)] = element;
        } else {
          columns[thread * 4 + (i & 3) + (i < 4 ? 0 : 16)][group] = element;
        }
      }
    }
  }
  const unsigned int own_lane = number_of(*current) % WARP;
  for (unsigned int i = 0; i < 4; i++) {
    const unsigned int row = i < 2 ? own_lane >> 2 : (own_lane >> 2) + 8;
    const unsigned int column = own_lane % 4 * 2 + (i & 1);
    // Without .satfinite a sum wraps.
    std::uint32_t sum = static_cast<std::uint32_t>(sums[i]);
    for (unsigned int k = 0; k < 32; k++) sum += static_cast<std::uint32_t>(rows[row][k] * columns[k][column]);
    sums[i] = static_cast<int>(sum);
  }
}

} // namespace on_cpu
