// What runs kernels on a CPU, for the program of run.ts and for the driver of test/cuda-driver.

#pragma once

#include "cuda-on-cpu.h"

#include <stdexcept>

namespace on_cpu {

constexpr std::uint32_t BUFFER_GARBAGE = 0xfff0dead;
constexpr std::size_t CANARY_BYTES = 256;
constexpr unsigned char CANARY = 0xc3;

/** A kernel, or what launches it, is wrong. */
struct Mistake : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/** @throws Mistake. */
[[noreturn]] void fail(const char* format, const char* name, unsigned int a, unsigned int b);

/** Fixes the order of blocks and threads from here on. */
void seed_order(std::uint32_t seed);

/**
 * Runs a kernel, block after block.
 * @param pointers as many as the kernel has parameters.
 * @throws Mistake when threads wait for each other forever or at different places.
 */
void run_blocks(const Kernel& kernel, uint3 blocks, unsigned int threads, void* const* pointers);

} // namespace on_cpu
