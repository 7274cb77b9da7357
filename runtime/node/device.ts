// A WebGPU device in Node, through npm's `webgpu` (Dawn): the machine's GPU, or the software adapter where there is none.

import { HireError, reasonOf } from "../errors.ts";
import { installSoftwareAdapter, loadVulkan } from "./software-adapter.ts";

export type DeviceChoice = "auto" | "webgpu" | "software";

export interface NodeDevice {
  readonly device: GPUDevice;
  readonly kind: "hardware" | "software";
  /** The adapter in words, such as `NVIDIA GeForce RTX 4090 (Vulkan)`. */
  readonly description: string;
  /** Destroys the device and lets the process end. */
  close(): void;
}

/**
 * `auto` takes the GPU when there is one and the software adapter otherwise; `webgpu` and `software` insist.
 * The device has the adapter's highest limits, and subgroups and timestamps where the adapter has them.
 * @throws HireError HIRE-RUN-001 when there is no adapter of that kind or it gives no device, -007 when a package is missing.
 */
export async function requestNodeDevice(choice: DeviceChoice = "auto"): Promise<NodeDevice> {
  const create = await loadDawn();
  if (choice !== "software") {
    const adapter = await requestHardware(create);
    if (adapter) return openDevice(adapter, "hardware");
    if (choice === "webgpu") {
      throw new HireError({
        code: "HIRE-RUN-001",
        message: "No GPU was found: WebGPU offers no hardware adapter here",
        fix: "Install the GPU's Vulkan driver, or use --device software; hirec doctor shows what runs here",
      });
    }
  }
  await installSoftwareAdapter();
  const adapter = await create([]).requestAdapter();
  if (adapter) return openDevice(adapter, "software");
  throw new HireError({
    code: "HIRE-RUN-001",
    message: "WebGPU offers no adapter here, not even the software one",
    fix: "Use --device reference, and run hirec doctor to see what is missing",
  });
}

type Create = (options: string[]) => GPU;

/** Every instance that was made. A device does not keep its instance alive, and crashes when that is collected. */
const instances: GPU[] = [];

/** A device on Dawn's null backend: WGSL is validated in full, and nothing runs. Results are zeros. */
export async function requestNullDevice(): Promise<NodeDevice> {
  const create = await loadDawn();
  const adapter = await create(["backend=null"]).requestAdapter();
  return openDevice(adapter!, "software");
}

async function loadDawn(): Promise<Create> {
  try {
    const { create } = await import("webgpu");
    return (options) => {
      const instance = create(options);
      instances.push(instance);
      return instance;
    };
  } catch (thrown) {
    throw new HireError(
      {
        code: "HIRE-RUN-007",
        message: `Package webgpu cannot be loaded: ${reasonOf(thrown)}`,
        fix: "Install it with: npm install webgpu",
      },
      { cause: thrown },
    );
  }
}

async function requestHardware(create: Create): Promise<GPUAdapter | null> {
  // Without a Vulkan loader Dawn would only print a warning; on other systems it uses Metal or Direct3D.
  if (process.platform === "linux" && !(await loadVulkan())) return null;
  const adapter = await create([]).requestAdapter({ powerPreference: "high-performance" });
  return adapter && !isSoftware(adapter.info) ? adapter : null;
}

function isSoftware({ architecture, description, isFallbackAdapter }: GPUAdapterInfo): boolean {
  return isFallbackAdapter === true || /swiftshader|llvmpipe|lavapipe/i.test(`${architecture} ${description}`);
}

/** What kernels use, and `hirec tune` measures with. */
const FEATURES = ["subgroups", "timestamp-query"] as const;

async function openDevice(adapter: GPUAdapter, kind: NodeDevice["kind"]): Promise<NodeDevice> {
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
        fix: "Update the GPU's driver, or use --device software; hirec doctor shows what runs here",
      },
      { cause: thrown },
    );
  });
  const detail = info.description && info.description !== info.device ? ` (${info.description})` : "";
  return { device, kind, description: `${name}${detail}`, close: () => device.destroy() };
}
