// The resources of a plan are computed without nvcc; here they are held against what ptxas does and what NVIDIA computes.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CudaProfile, PROFILES } from "../../compiler/profiles.ts";
import { type Block, planResources } from "../../compiler/schedule/resources.ts";
import { compile, execute, missing } from "./compile.ts";

/** Threads and promised blocks, some of which fill no whole number of warps for each partition. */
const BOUNDS: readonly (readonly [threads: number, promisedBlocks: number])[] = [
  ...([1, 32, 64, 96, 128, 160, 192, 256, 512, 1024] as const).map((threads) => [threads, 1] as const),
  ...([2, 3, 4, 5, 7, 8, 16, 20, 32] as const).flatMap((blocks) =>
    ([1, 32, 64, 96, 160, 192, 256] as const)
      .filter((threads) => Math.ceil(threads / 32) * blocks <= 64)
      .map((threads) => [threads, blocks] as const),
  ),
];
/** Those of which a kernel is compiled. */
const COMPILED: typeof BOUNDS = [
  [1, 1],
  [32, 20],
  [64, 7],
  [64, 8],
  [96, 5],
  [192, 3],
  [256, 1],
  [1024, 1],
];
const SHARED_BYTES = [0, 1, 4096, 5000, 16384, 40000, 49152];

const blocks: readonly Block[] = BOUNDS.flatMap(([threads, promisedBlocks]) =>
  SHARED_BYTES.map((sharedBytes) => ({ threads, promisedBlocks, sharedBytes })),
);

describe.skipIf(missing)(`resources${missing ? `, skipped: ${missing}` : ""}`, { timeout: 600_000 }, () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "hirec-resources-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("ptxas gives a kernel that cannot get enough just the registers of the plan", async () => {
    const path = join(folder, "greedy.cu");
    await writeFile(path, COMPILED.map(greedy).join(""));
    const { kernels } = await compile(path, "sm_90");
    const found = new Map(kernels.map(({ name, registers }) => [name, registers]));
    const profile = PROFILES.cuda.find(({ architecture }) => architecture === "sm_90")!;
    for (const [threads, promisedBlocks] of COMPILED) {
      const { registers } = planResources({ threads, promisedBlocks, sharedBytes: 0 }, profile);
      expect([threads, promisedBlocks, found.get(`greedy_${threads}_${promisedBlocks}`)]).toEqual([
        threads,
        promisedBlocks,
        registers,
      ]);
    }
  });

  test("NVIDIA's occupancy calculation gives the resident blocks of the plan", async () => {
    const planned = PROFILES.cuda.flatMap((profile) => blocks.map((block) => planResources(block, profile)));
    const path = join(folder, "occupancy.cpp");
    await writeFile(path, calculator());
    await execute("nvcc", [path, "-o", join(folder, "occupancy")]);
    const { stdout } = await execute(join(folder, "occupancy"));
    const calculated = stdout.trim().split("\n").map(Number);
    expect(calculated).toEqual(planned.map(({ residentBlocks }) => residentBlocks));
    const limits = new Set(planned.map(({ limitedBy }) => limitedBy));
    expect([...limits].sort()).toEqual(["blocks", "registers", "shared memory", "threads"]);
  });

  /** The same questions, asked of cuda_occupancy.h. */
  function calculator(): string {
    const questions = PROFILES.cuda.flatMap((profile) => blocks.map((block) => question(block, profile)));
    return `#include <cstdio>
#include <cuda_occupancy.h>
struct Question { int major, threads, registers, shared, sharedOfAll; };
const Question questions[] = {${questions.join(",")}};
int main() {
  for (const Question& each : questions) {
    cudaOccDeviceProp device;
    device.computeMajor = each.major;
    device.computeMinor = 0;
    device.maxThreadsPerBlock = 1024;
    device.maxThreadsPerMultiprocessor = 2048;
    device.regsPerBlock = device.regsPerMultiprocessor = 65536;
    device.warpSize = 32;
    device.sharedMemPerBlock = 49152;
    device.sharedMemPerMultiprocessor = each.sharedOfAll;
    device.numSms = 1;
    device.sharedMemPerBlockOptin = each.sharedOfAll - 1024;
    device.reservedSharedMemPerBlock = 1024;
    cudaOccFuncAttributes kernel;
    kernel.maxThreadsPerBlock = each.threads;
    kernel.numRegs = each.registers;
    kernel.sharedSizeBytes = each.shared;
    kernel.numBlockBarriers = 1;
    cudaOccDeviceState state;
    cudaOccResult result;
    if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &kernel, &state, each.threads, 0)) return 1;
    std::printf("%d\\n", result.activeBlocksPerMultiprocessor);
  }
}
`;
  }

  function question(block: Block, profile: CudaProfile): string {
    const major = Number(profile.architecture.slice(3)) / 10;
    const { registers } = planResources(block, profile);
    const { sharedMemPerMultiprocessor } = profile.multiprocessor;
    return `{${[major, block.threads, registers, block.sharedBytes, sharedMemPerMultiprocessor]}}`;
  }
});

/** A kernel with more values at a time than there are registers. */
function greedy([threads, blocks]: (typeof BOUNDS)[number]): string {
  const name = `greedy_${threads}_${blocks}`;
  return `extern "C" __global__ void __launch_bounds__(${threads}, ${blocks}) ${name}(float* at) {
  float values[250];
#pragma unroll
  for (int i = 0; i < 250; i++) values[i] = at[i * ${threads} + threadIdx.x];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 250; i++) {
    at[i * ${threads} + threadIdx.x] = values[i] * values[249 - i] + values[i * 7 % 250];
  }
}
`;
}
