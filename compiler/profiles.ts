// Device profiles: the limits and features that a program may count on. A profile's limits carry the names of its own
// API, under which a loader asks the device for them; the compiler reads them as a budget.

import type { Target } from "../runtime/plan.ts";

/** What may be asked for: sources of a target, or the package for PyTorch around those for CUDA. */
export type OutputTarget = Target | "torch";

export type Profile = WgslProfile | CudaProfile;

interface AnyProfile {
  readonly name: string;
  /** Folder of its sources. Profiles of one folder have one set of sources. */
  readonly folder: string;
}

export interface WgslProfile extends AnyProfile {
  readonly target: "wgsl";
  /** Under their WebGPU names. */
  readonly limits: {
    readonly maxComputeWorkgroupStorageSize: number;
    readonly maxComputeInvocationsPerWorkgroup: number;
    readonly maxStorageBuffersPerShaderStage: number;
    readonly maxStorageBufferBindingSize: number;
    readonly maxComputeWorkgroupsPerDimension: number;
  };
  readonly features: readonly string[];
}

export interface CudaProfile extends AnyProfile {
  readonly target: "cuda";
  /** What the sources are compiled for, as nvcc and NVRTC call it. */
  readonly architecture: `sm_${number}`;
  /** Under their names in cudaDeviceProp. */
  readonly limits: {
    readonly sharedMemPerBlock: number;
    readonly maxThreadsPerBlock: number;
    readonly maxGridSize: number;
  };
  /**
   * What the blocks on a multiprocessor share, under its names in cudaDeviceProp. A plan is computed with it and a device need
   * not have it: those of the same profile with less, such as sm_86, hold fewer blocks at a time.
   */
  readonly multiprocessor: Multiprocessor;
}

export interface Multiprocessor {
  readonly regsPerMultiprocessor: number;
  readonly maxThreadsPerMultiProcessor: number;
  readonly maxBlocksPerMultiProcessor: number;
  readonly sharedMemPerMultiprocessor: number;
  /** Taken of that for every block besides its own. */
  readonly reservedSharedMemPerBlock: number;
}

/** What one kernel may take, whatever the target calls it. Infinity where the target sets no limit. */
export interface Budget {
  readonly workgroupBytes: number;
  readonly workgroupSize: number;
  readonly bindings: number;
  readonly bindingBytes: number;
  readonly workgroups: number;
}

export function budgetOf(profile: Profile): Budget {
  if (profile.target === "cuda") {
    const { sharedMemPerBlock, maxThreadsPerBlock, maxGridSize } = profile.limits;
    return {
      workgroupBytes: sharedMemPerBlock,
      workgroupSize: maxThreadsPerBlock,
      bindings: Number.POSITIVE_INFINITY,
      bindingBytes: Number.POSITIVE_INFINITY,
      workgroups: maxGridSize,
    };
  }
  const { limits } = profile;
  return {
    workgroupBytes: limits.maxComputeWorkgroupStorageSize,
    workgroupSize: limits.maxComputeInvocationsPerWorkgroup,
    bindings: limits.maxStorageBuffersPerShaderStage,
    bindingBytes: limits.maxStorageBufferBindingSize,
    workgroups: limits.maxComputeWorkgroupsPerDimension,
  };
}

/** The limits that every WebGPU device offers (W3C WebGPU §3.6.2, "default" column). */
const WEBGPU_DEFAULT_LIMITS = {
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxStorageBuffersPerShaderStage: 8,
  maxStorageBufferBindingSize: 128 * 2 ** 20,
  maxComputeWorkgroupsPerDimension: 65535,
};

const KIBIBYTE = 1024;

/**
 * The same on every device since compute capability 5.0 (CUDA C++ Programming Guide, "Technical Specifications per
 * Compute Capability"): 48 KiB is what a block gets without asking for more when it is launched.
 */
const CUDA_LIMITS = { sharedMemPerBlock: 48 * KIBIBYTE, maxThreadsPerBlock: 1024, maxGridSize: 2 ** 31 - 1 };

/**
 * CUDA C++ Programming Guide, "Technical Specifications per Compute Capability", columns 8.0, 9.0 and 10.0, which differ in
 * shared memory only; the KiB that is reserved: "Compute Capability 8.x", "Shared Memory".
 */
const MULTIPROCESSOR = {
  regsPerMultiprocessor: 65536,
  maxThreadsPerMultiProcessor: 2048,
  maxBlocksPerMultiProcessor: 32,
  reservedSharedMemPerBlock: 1024,
};

function cudaProfile(generation: number, sharedMemPerMultiprocessor: number): CudaProfile {
  return {
    name: `cuda-sm${generation}`,
    // One folder for all, since nothing that is emitted depends on the generation yet.
    folder: "cuda",
    target: "cuda",
    architecture: `sm_${generation}`,
    limits: CUDA_LIMITS,
    multiprocessor: { ...MULTIPROCESSOR, sharedMemPerMultiprocessor },
  };
}

/** Of each target, from the most demanding to the one that always works; a loader takes the first that the device supports. */
export const PROFILES: { readonly wgsl: readonly WgslProfile[]; readonly cuda: readonly CudaProfile[] } = {
  wgsl: [
    {
      name: "webgpu-subgroups",
      folder: "webgpu-subgroups",
      target: "wgsl",
      limits: WEBGPU_DEFAULT_LIMITS,
      features: ["subgroups"],
    },
    {
      name: "webgpu-default",
      folder: "webgpu-default",
      target: "wgsl",
      limits: WEBGPU_DEFAULT_LIMITS,
      features: [],
    },
  ],
  cuda: [cudaProfile(100, 228 * KIBIBYTE), cudaProfile(90, 228 * KIBIBYTE), cudaProfile(80, 164 * KIBIBYTE)],
};

const TARGETS = Object.keys(PROFILES) as readonly Target[];

export const OUTPUT_TARGETS: readonly OutputTarget[] = [...TARGETS, "torch"];

/** Every profile, by target. */
export const ALL_PROFILES: readonly Profile[] = TARGETS.flatMap((target): readonly Profile[] => PROFILES[target]);
