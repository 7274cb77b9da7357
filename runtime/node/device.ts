// A WebGPU device in Node, through npm's `webgpu` (Dawn): the machine's GPU, or the software adapter where there is none.

import { HireError, reasonOf } from "../errors.ts";
import { isSoftware, type OpenDevice, openDevice } from "../webgpu/open-device.ts";
import { installSoftwareAdapter, loadVulkan } from "./software-adapter.ts";

export type DeviceChoice = "auto" | "webgpu" | "software";

export interface NodeDevice extends OpenDevice {
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
    if (adapter) return openNodeDevice(adapter);
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
  if (adapter) return openNodeDevice(adapter);
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
  return openNodeDevice(adapter!);
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

async function openNodeDevice(adapter: GPUAdapter): Promise<NodeDevice> {
  const open = await openDevice(adapter);
  return { ...open, close: () => open.device.destroy() };
}
