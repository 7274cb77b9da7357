// A CUDA card without a GPU, for this process: the driver and the compilers of test/cuda-host in place of NVIDIA's.

import { type CudaDevice, requestCudaDevice } from "../../runtime/cuda/device.ts";
import { buildCard, whyNoCompiler } from "../cuda-host/build.ts";

/** Why there is none, or nothing. */
export const missing = process.platform === "linux" ? await whyNoCompiler() : "it is made for Linux";

/** Environment variables by which everything of hirec, in this process or another, finds the card. */
export async function cardEnvironment(): Promise<Record<string, string>> {
  const { libcuda, libnvrtc, libnccl, nvcc, cache } = await buildCard();
  return {
    HIREC_LIBCUDA: libcuda,
    HIREC_LIBNVRTC: libnvrtc,
    HIREC_LIBNCCL: libnccl,
    HIREC_NVCC_ON_CPU: nvcc,
    XDG_CACHE_HOME: cache,
  };
}

export interface Card {
  readonly device: CudaDevice;
  /** How many contexts, allocations, modules, streams, events and graphs there are. */
  live(): number;
  /** Makes the driver work again after a kernel went wrong. */
  mend(): void;
}

export async function openCard(): Promise<Card> {
  Object.assign(process.env, await cardEnvironment());
  const { default: koffi } = await import("koffi");
  const library = koffi.load(process.env.HIREC_LIBCUDA!);
  const device = await requestCudaDevice();
  // The stream that the device makes when it is first asked for is no model's.
  void device.stream;
  return {
    device,
    live: library.func("hirec_on_cpu_live", "int", []),
    mend: library.func("hirec_on_cpu_mend", "void", []),
  };
}
