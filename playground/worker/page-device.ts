// The visitor's GPU, from a page or a worker of it.

import { HireError } from "../../runtime/errors.ts";
import { type OpenDevice, openDevice } from "../../runtime/webgpu/open-device.ts";

/** @throws HireError HIRE-RUN-001 when the browser has no WebGPU, or WebGPU no adapter. */
export async function requestPageDevice(): Promise<OpenDevice> {
  const gpu: GPU | undefined = navigator.gpu;
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (adapter) return openDevice(adapter);
  throw new HireError({
    code: "HIRE-RUN-001",
    message: gpu
      ? "WebGPU is there, but offers no adapter for this device's GPU"
      : "This browser offers no WebGPU here",
    fix: "Use a browser with WebGPU (Chrome, Edge, Safari 26, Firefox 141 on Windows) with hardware acceleration switched on",
  });
}
