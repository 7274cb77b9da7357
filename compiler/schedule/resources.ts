// What a CUDA block may take of a multiprocessor, and how many blocks that leaves room for: computed from the plan alone, so
// that it is the same on every machine. test/nvcc holds it against ptxas and against NVIDIA's own calculation.

import type { ResourcesPlan } from "../../runtime/plan.ts";
import type { CudaProfile } from "../profiles.ts";

export interface Block {
  readonly threads: number;
  /** Of static shared memory. */
  readonly sharedBytes: number;
  /** The second number of `__launch_bounds__`: blocks that a multiprocessor must be able to hold. */
  readonly promisedBlocks: number;
}

/** How all profiles hand out a multiprocessor (cuda_occupancy.h of the CUDA toolkit, compute capability 8 to 12). */
const THREADS_PER_WARP = 32;
/** Each has its share of the registers, and holds whole warps. */
const PARTITIONS = 4;
/** A warp gets a multiple of so many registers, a thread therefore of 8. */
const REGISTER_UNIT = 256;
const SHARED_UNIT = 128;
/** What an instruction can name. */
const MOST_REGISTERS = 255;

export function planResources(block: Block, { multiprocessor }: CudaProfile): ResourcesPlan {
  const { regsPerMultiprocessor, maxThreadsPerMultiProcessor, maxBlocksPerMultiProcessor } = multiprocessor;
  const warps = Math.ceil(block.threads / THREADS_PER_WARP);
  const mostWarps = maxThreadsPerMultiProcessor / THREADS_PER_WARP;
  const registersOfPartition = regsPerMultiprocessor / PARTITIONS;

  // As many as the warps of the promised blocks can have when they are spread over the partitions.
  const promisedWarps = Math.ceil((warps * block.promisedBlocks) / PARTITIONS);
  const unitsOfWarp = Math.floor(registersOfPartition / promisedWarps / REGISTER_UNIT);
  const registers = Math.min(MOST_REGISTERS, (unitsOfWarp * REGISTER_UNIT) / THREADS_PER_WARP);

  const registersOfWarp = roundUp(registers * THREADS_PER_WARP, REGISTER_UNIT);
  const sharedOfBlock = roundUp(block.sharedBytes + multiprocessor.reservedSharedMemPerBlock, SHARED_UNIT);
  // Of those that leave room for equally few, the first is named: what the kernel cannot change comes first.
  const room: readonly (readonly [ResourcesPlan["limitedBy"], number])[] = [
    ["threads", Math.floor(mostWarps / warps)],
    ["blocks", maxBlocksPerMultiProcessor],
    ["registers", Math.floor((PARTITIONS * Math.floor(registersOfPartition / registersOfWarp)) / warps)],
    ["shared memory", Math.floor(multiprocessor.sharedMemPerMultiprocessor / sharedOfBlock)],
  ];
  const residentBlocks = Math.min(...room.map(([, blocks]) => blocks));
  const [limitedBy] = room.find(([, blocks]) => blocks === residentBlocks)!;
  return { registers, residentBlocks, limitedBy, occupancy: (residentBlocks * warps) / mostWarps };
}

function roundUp(count: number, unit: number): number {
  return Math.ceil(count / unit) * unit;
}
