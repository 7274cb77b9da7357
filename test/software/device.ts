// The device of these tests: SwiftShader from npm, or the driver whose Vulkan manifest HIREC_TEST_DRIVER names.

import { type NodeDevice, requestNodeDevice } from "../../runtime/node/device.ts";
import { loadVulkan } from "../../runtime/node/software-adapter.ts";

/**
 * While Dawn works, its Node bindings look after it with `setImmediate` again and again, which takes a core as long as
 * pipelines compile on others: half the time of these tests. Once a millisecond is often enough.
 */
export function lookSeldom(): void {
  const later = (look: (...given: unknown[]) => void, ...given: unknown[]) => setTimeout(look, 1, ...given);
  globalThis.setImmediate = later as unknown as typeof setImmediate;
}

export async function requestTestDevice(driver = process.env.HIREC_TEST_DRIVER): Promise<NodeDevice> {
  lookSeldom();
  if (!driver) return requestNodeDevice("software");
  process.env.VK_ICD_FILENAMES = driver;
  process.env.VK_DRIVER_FILES = driver;
  process.env.XDG_RUNTIME_DIR ??= "/tmp";
  await loadVulkan(process.env.HIREC_VULKAN_LOADER);
  const { create } = await import("webgpu");
  const gpu = create([]);
  instances.push(gpu);
  const adapter = (await gpu.requestAdapter())!;
  const device = await adapter.requestDevice({ requiredFeatures: ["subgroups"] });
  return { device, kind: "software", description: adapter.info.description, close: () => device.destroy() };
}

/** A device does not keep its instance alive. */
const instances: GPU[] = [];
