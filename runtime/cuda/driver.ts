// The few calls of the CUDA driver API that hirec needs, as a type: runtime/cuda/libcuda.ts is the real one. Names and
// meaning are those of the CUDA Driver API reference; handles and device pointers are bigints.

/** What the driver returns for things that it knows by a pointer: contexts, modules, functions, streams, events, graphs. */
export type Handle = bigint;

/** An address in device memory. */
export type DevicePointer = bigint;

/** A call that failed. */
export class CudaCallError extends Error {
  /** Such as `cuMemAlloc_v2`. */
  readonly call: string;
  /** The CUresult. */
  readonly number: number;
  /** Its name, such as `CUDA_ERROR_OUT_OF_MEMORY`. */
  readonly result: string;

  constructor(call: string, number: number, result: string) {
    super(`${result} (${number}) from ${call}`);
    this.name = "CudaCallError";
    this.call = call;
    this.number = number;
    this.result = result;
  }
}

/** The CUresults that hirec tells apart (CUDA Driver API, "Data types used by CUDA driver"). */
export const RESULT = {
  INVALID_VALUE: 1,
  OUT_OF_MEMORY: 2,
  NO_DEVICE: 100,
  INVALID_DEVICE: 101,
  INVALID_IMAGE: 200,
  NO_BINARY_FOR_GPU: 209,
  INVALID_PTX: 218,
  UNSUPPORTED_PTX_VERSION: 222,
  NOT_FOUND: 500,
  NOT_READY: 600,
} as const;

/** CUdevice_attribute. */
export const ATTRIBUTE = {
  maxThreadsPerBlock: 1,
  maxGridSize: 5,
  sharedMemPerBlock: 8,
  multiprocessors: 16,
  computeCapabilityMajor: 75,
  computeCapabilityMinor: 76,
} as const;

/** CUfunction_attribute: the virtual architecture that a kernel was compiled for, such as 90. */
export const PTX_VERSION = 5;

/** Every function throws CudaCallError when the call fails. All but the first group work in the current context. */
export interface CudaDriver {
  init(): void;
  /** Such as 13000 for 13.0: the newest CUDA that the driver supports. */
  version(): number;
  deviceCount(): number;
  /** The CUdevice with that ordinal. */
  device(ordinal: number): number;
  deviceName(device: number): string;
  /** Bytes. */
  deviceMemory(device: number): number;
  deviceAttribute(device: number, attribute: number): number;
  retainPrimaryContext(device: number): Handle;
  releasePrimaryContext(device: number): void;
  /** Of this thread. */
  setCurrentContext(context: Handle): void;

  /** Bytes that are free, and that there are. */
  memoryInfo(): { readonly free: number; readonly total: number };
  /** Aligned to 256 bytes or more. */
  allocate(bytes: number): DevicePointer;
  free(pointer: DevicePointer): void;
  /** Where the allocation lies that holds a pointer. */
  addressRange(pointer: DevicePointer): { readonly base: DevicePointer; readonly bytes: number };
  /** `from` is pageable memory, which is read before the call returns (CUDA Driver API, "API synchronization behavior"). */
  copyToDevice(to: DevicePointer, from: Uint8Array, stream: Handle): void;
  /** `to` holds the bytes when the stream has come past. */
  copyToHost(to: Uint8Array, from: DevicePointer, stream: Handle): void;
  copyOnDevice(to: DevicePointer, from: DevicePointer, bytes: number, stream: Handle): void;
  fill(to: DevicePointer, byte: number, bytes: number, stream: Handle): void;

  /** @param image a cubin, a fatbin, or PTX that ends in a zero byte. */
  loadModule(image: Uint8Array): Handle;
  unloadModule(module: Handle): void;
  function(module: Handle, name: string): Handle;
  functionAttribute(kernel: Handle, attribute: number): number;
  /**
   * @param parameters of the kernel, all of them device pointers.
   * @param early starts it while the kernel before on the stream still runs; it waits for that one itself (CUDA C++
   * Programming Guide, "Programmatic Dependent Launch"). For compute capability 9.0 and later.
   */
  launch(
    kernel: Handle,
    blocks: readonly [number, number, number],
    threads: number,
    parameters: readonly DevicePointer[],
    stream: Handle,
    early: boolean,
  ): void;

  /** One that does not wait for the default stream. */
  createStream(): Handle;
  destroyStream(stream: Handle): void;
  createEvent(): Handle;
  destroyEvent(event: Handle): void;
  recordEvent(event: Handle, stream: Handle): void;
  /** Whether what was on the stream when the event was recorded is done. */
  hasPassed(event: Handle): boolean;
  /** Milliseconds between two events that have passed. */
  elapsed(start: Handle, end: Handle): number;

  /** From here on, work on the stream is recorded and not done. */
  beginCapture(stream: Handle): void;
  /** The graph of what was recorded. */
  endCapture(stream: Handle): Handle;
  instantiate(graph: Handle): Handle;
  destroyGraph(graph: Handle): void;
  launchGraph(executable: Handle, stream: Handle): void;
  destroyExecutable(executable: Handle): void;
}
