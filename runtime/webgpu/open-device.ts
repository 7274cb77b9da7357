// A device of an adapter, with what kernels can use, and what the adapter is called.

import { HireError, reasonOf } from "../errors.ts";

export interface OpenDevice {
  readonly device: GPUDevice;
  readonly kind: "hardware" | "software";
  /** The adapter in words, such as `NVIDIA GeForce RTX 4090 (Vulkan)`. */
  readonly description: string;
}

/** What kernels use, and times are measured with. */
const FEATURES = ["subgroups", "timestamp-query"] as const;

/**
 * The device has the adapter's largest buffers, and subgroups and timestamps where the adapter has them.
 * @throws HireError HIRE-RUN-001 when the adapter gives none.
 */
export async function openDevice(adapter: GPUAdapter): Promise<OpenDevice> {
  const { info } = adapter;
  const name = [info.vendor, info.device || info.architecture].filter(Boolean).join(" ");
  const descriptor: GPUDeviceDescriptor = {
    requiredFeatures: FEATURES.filter((feature) => adapter.features.has(feature)),
    requiredLimits: {
      maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize,
      maxBufferSize: adapter.limits.maxBufferSize,
    },
  };
  const device = await adapter.requestDevice(descriptor).catch((thrown) => {
    throw new HireError(
      {
        code: "HIRE-RUN-001",
        message: `Adapter ${name} gives no device: ${reasonOf(thrown)}`,
        fix: "Update the GPU's driver, or take the software adapter; hirec doctor shows what runs on a machine",
      },
      { cause: thrown },
    );
  });
  const detail = info.description && info.description !== info.device ? ` (${info.description})` : "";
  const kind = isSoftware(info) ? "software" : "hardware";
  return { device, kind, description: `${name}${detail}` };
}

/** Whether an adapter computes on the processor: for correctness, not for speed. */
export function isSoftware({ architecture, description, isFallbackAdapter }: GPUAdapterInfo): boolean {
  return isFallbackAdapter === true || /swiftshader|llvmpipe|lavapipe/i.test(`${architecture} ${description}`);
}
