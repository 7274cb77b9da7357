// Device profiles: the limits and features that a program may count on. Limits carry their WebGPU names.

export interface Profile {
  readonly name: string;
  readonly target: "wgsl";
  readonly limits: {
    readonly maxComputeWorkgroupStorageSize: number;
    readonly maxComputeInvocationsPerWorkgroup: number;
    readonly maxStorageBuffersPerShaderStage: number;
    readonly maxStorageBufferBindingSize: number;
    readonly maxComputeWorkgroupsPerDimension: number;
  };
  readonly features: readonly string[];
}

/** The limits that every WebGPU device offers (W3C WebGPU §3.6.2, "default" column). */
const WEBGPU_DEFAULT_LIMITS = {
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxStorageBuffersPerShaderStage: 8,
  maxStorageBufferBindingSize: 128 * 2 ** 20,
  maxComputeWorkgroupsPerDimension: 65535,
};

/** From the most demanding to the one that always works; a loader takes the first that the device supports. */
export const PROFILES: readonly Profile[] = [
  { name: "webgpu-subgroups", target: "wgsl", limits: WEBGPU_DEFAULT_LIMITS, features: ["subgroups"] },
  { name: "webgpu-default", target: "wgsl", limits: WEBGPU_DEFAULT_LIMITS, features: [] },
];
