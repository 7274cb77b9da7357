// The visitor's GPU, from a page or a worker of it.

import { type OpenDevice, openDevice } from "../../runtime/webgpu/open-device.ts";
import { requestAdapter } from "../../runtime/webgpu/request-device.ts";

/** @throws HireError HIRE-RUN-001 when the browser has no WebGPU, or WebGPU no adapter or no device. */
export async function requestPageDevice(): Promise<OpenDevice> {
  const open = await openDevice(await requestAdapter({ powerPreference: "high-performance" }));
  return { ...open, description: open.description || "a GPU that the browser does not name" };
}
