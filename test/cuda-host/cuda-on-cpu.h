// The CUDA that the emitted kernels use, for g++: included before a kernel's source, which is compiled as it is.
// fibers.cpp runs it, one fiber per thread.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned int x, y; };
struct uint3 { unsigned int x, y, z; };
struct alignas(16) uint4 { unsigned int x, y, z, w; };

inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned int x, unsigned int y) { return {x, y}; }
inline uint3 make_uint3(unsigned int x, unsigned int y, unsigned int z) { return {x, y, z}; }
inline uint4 make_uint4(unsigned int x, unsigned int y, unsigned int z, unsigned int w) { return {x, y, z, w}; }

#define __global__
#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#if defined(__SANITIZE_ADDRESS__)
// An ordinary variable, around which the sanitizer puts red zones.
#define __shared__ static
#else
// The shared memory of a kernel in a section of its own, named before its source, which is filled with garbage before
// each block.
#define __shared__ static __attribute__((section(SHARED_SECTION)))
#endif

namespace on_cpu {

/** What a fiber knows about itself; set whenever it goes on. */
struct Place {
  uint3 thread;
  uint3 block;
};
extern Place place;

/** Waits for every thread of the block. @param line where, so that threads that wait at different places are caught. */
void wait_for_block(int line);
/** Waits for every lane of the warp, and gives what `lane` brought along. */
std::uint32_t exchange_in_warp(int line, std::uint32_t mask, std::uint32_t value, unsigned int lane);
/** Waits likewise, and gives a bit for each lane whose predicate holds. */
std::uint32_t ballot_in_warp(int line, std::uint32_t mask, bool predicate);
/** Waits likewise, and gives the bits that some lane has. */
std::uint32_t or_in_warp(int line, std::uint32_t mask, std::uint32_t value);
/** Waits likewise, and gives what all lanes of the mask brought along; of others 0. */
void gather_in_warp(int line, std::uint32_t mask, std::uint32_t value, std::uint32_t (&values)[32]);
/** `mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32`: adds to `sums` what the warp's fragments `a` and `b` make. */
void mma_m16n8k32(int line, int (&sums)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);

struct Kernel {
  const char* name;
  unsigned int parameters;
  void (*call)(void* const* buffers);
  /** From where on its shared memory lies, and what lies behind it; null where it has none. */
  char* shared;
  char* shared_end;
};

template <typename... Parameters>
constexpr unsigned int parameters_of(void (*)(Parameters...)) {
  return sizeof...(Parameters);
}

struct Program {
  const char* name;
  /** In launch order. */
  const Kernel* kernels;
  unsigned int kernel_count;
};

template <typename... Parameters, std::size_t... Index>
void call_with(void (*kernel)(Parameters...), void* const* buffers, std::index_sequence<Index...>) {
  kernel(static_cast<Parameters>(buffers[Index])...);
}

template <typename... Parameters>
void call_with(void (*kernel)(Parameters...), void* const* buffers) {
  call_with(kernel, buffers, std::index_sequence_for<Parameters...>());
}

template <typename To, typename From>
To bits_as(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}

template <typename Value>
Value shuffle(int line, std::uint32_t mask, Value value, unsigned int lane) {
  return bits_as<Value>(exchange_in_warp(line, mask, bits_as<std::uint32_t>(value), lane));
}

constexpr std::string_view MMA_STATEMENT =
  R"("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" )"
  R"(: "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3]) )"
  R"(: "r"(rows[0]), "r"(rows[1]), "r"(rows[2]), "r"(rows[3]), "r"(tokens.x), "r"(tokens.y))";

} // namespace on_cpu

#define threadIdx (on_cpu::place.thread)
#define blockIdx (on_cpu::place.block)

#define __syncthreads() on_cpu::wait_for_block(__LINE__)
#define __syncwarp() static_cast<void>(on_cpu::exchange_in_warp(__LINE__, 0xffffffffu, 0u, threadIdx.x % 32u))
#define __shfl_sync(mask, value, lane) on_cpu::shuffle(__LINE__, mask, value, (lane) % 32u)
#define __shfl_xor_sync(mask, value, lanes) on_cpu::shuffle(__LINE__, mask, value, (threadIdx.x % 32u) ^ (lanes))
// The lowest lanes have none before them, and keep their own.
#define __shfl_up_sync(mask, value, by) \
  on_cpu::shuffle(__LINE__, mask, value, threadIdx.x % 32u < (by) ? threadIdx.x % 32u : threadIdx.x % 32u - (by))
#define __ballot_sync(mask, predicate) on_cpu::ballot_in_warp(__LINE__, mask, (predicate) != 0)
#define __reduce_or_sync(mask, value) on_cpu::or_in_warp(__LINE__, mask, value)

// A fiber runs until it waits, so nothing comes between the parts of these.
inline unsigned int atomicAdd(unsigned int* at, unsigned int value) {
  const unsigned int before = *at;
  *at = before + value;
  return before;
}
inline unsigned int atomicMax(unsigned int* at, unsigned int value) {
  const unsigned int before = *at;
  if (value > before) *at = value;
  return before;
}

inline unsigned int atomicOr(unsigned int* at, unsigned int value) {
  const unsigned int before = *at;
  *at = before | value;
  return before;
}

template <typename Value>
Value __ldg(const Value* at) { return *at; }
// Past the cache of a multiprocessor; a CPU's caches agree anyway, and blocks run one after the other.
template <typename Value>
Value __ldcg(const Value* at) { return *at; }
inline void __threadfence() {}

inline int __dp4a(int a, int b, int sum) {
  for (int i = 0; i < 32; i += 8) {
    sum += static_cast<std::int8_t>(static_cast<std::uint32_t>(a) >> i)
      * static_cast<std::int8_t>(static_cast<std::uint32_t>(b) >> i);
  }
  return sum;
}

// The one instruction that kernels name themselves. Its statement is compared by the letter, with all its operands.
#define asm(...) \
  static_assert(#__VA_ARGS__ == on_cpu::MMA_STATEMENT, "the CPU knows one statement of this kind only"); \
  const std::uint32_t columns[2] = {tokens.x, tokens.y}; \
  on_cpu::mma_m16n8k32(__LINE__, sums, rows, columns)

inline unsigned int __float_as_uint(float value) { return on_cpu::bits_as<unsigned int>(value); }
inline float __uint_as_float(unsigned int bits) { return on_cpu::bits_as<float>(bits); }
inline float __int2float_rn(int value) { return static_cast<float>(value); }
inline float __uint2float_rn(unsigned int value) { return static_cast<float>(value); }
// As the instruction does it: what is out of range becomes the nearest that is not.
inline unsigned int __float2uint_rz(float value) {
  return value > 0.0f ? value < 4294967296.0f ? static_cast<unsigned int>(value) : 0xffffffffu : 0u;
}
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline int __ffs(unsigned int bits) { return __builtin_ffs(static_cast<int>(bits)); }
inline int __clz(unsigned int bits) { return bits == 0u ? 32 : __builtin_clz(bits); }
inline int __popc(unsigned int bits) { return __builtin_popcount(bits); }
inline unsigned int max(unsigned int a, unsigned int b) { return a > b ? a : b; }
inline unsigned int min(unsigned int a, unsigned int b) { return a < b ? a : b; }
