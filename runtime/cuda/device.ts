// A CUDA device in Node: its primary context, which it shares with every other library of the process, and what is made on
// it.

import { HireError, reasonOf } from "../errors.ts";
import { ATTRIBUTE, CudaCallError, type CudaDriver, RESULT } from "./driver.ts";
import { type CudaGraph, captureGraph } from "./graph.ts";
import { loadCudaDriver, noDevice } from "./libcuda.ts";
import { allocateBuffer, type BufferDtype, type CudaBuffer } from "./memory.ts";
import { type CudaEvent, type CudaStream, createEvent, createStream, streamOf } from "./stream.ts";

export interface CudaDevice {
  readonly ordinal: number;
  /** Such as `NVIDIA H100 80GB HBM3`. */
  readonly name: string;
  /** Major times ten plus minor: 90 is 9.0, for which sources are compiled as sm_90. */
  readonly capability: number;
  readonly memoryBytes: number;
  readonly multiprocessors: number;
  /** The newest CUDA that the driver supports, such as `13.0`. */
  readonly driverVersion: string;
  /**
   * Whether kernels that wait for the one before by themselves are launched while that one still runs. The environment
   * variable HIREC_CUDA_EARLY=0 keeps them from it.
   */
  readonly launchesEarly: boolean;
  /** Under their names in cudaDeviceProp. */
  readonly limits: Readonly<Record<string, number>>;
  /** The stream on which `run` of every layer works. */
  readonly stream: CudaStream;
  /**
   * Makes driver calls with this device's context current.
   * @param doing what for, for messages, such as `running layer "head"`.
   * @throws HireError HIRE-RUN-004 when the driver refuses, HIRE-RUN-005 when the device is lost.
   */
  call<Result>(doing: string, work: (driver: CudaDriver) => Result): Result;
  /** Bytes of device memory. */
  memory(): { readonly free: number; readonly total: number };
  createStream(): CudaStream;
  /** A stream that the caller made, by its CUstream; to destroy it stays the caller's. */
  borrowStream(handle: bigint): CudaStream;
  createEvent(): CudaEvent;
  /**
   * Device memory for so many numbers; it holds anything at first.
   * @throws HireError HIRE-RUN-013 when there is too little memory.
   */
  allocate<Dtype extends BufferDtype>(dtype: Dtype, length: number): CudaBuffer<Dtype>;
  /**
   * Records what `work` encodes as one graph, which is launched as a whole, again and again; nothing runs meanwhile.
   * @param work encodes on the stream that it is given, and waits for nothing.
   * @throws HireError HIRE-RUN-004 when something is done meanwhile that cannot be recorded, such as allocating memory.
   */
  capture(work: (stream: CudaStream) => void): CudaGraph;
  /** Gives the context back; models, buffers, streams and graphs have to be destroyed before. */
  close(): void;
}

/**
 * Opens a device.
 * @param options.ordinal as CUDA counts devices, from 0.
 * @param options.driver instead of libcuda.so.1.
 * @throws HireError HIRE-RUN-001 when there is no driver, no device or none of that ordinal, HIRE-RUN-007 without koffi.
 */
export async function requestCudaDevice(
  options: { readonly ordinal?: number; readonly driver?: CudaDriver } = {},
): Promise<CudaDevice> {
  const { ordinal = 0, driver = await loadCudaDriver() } = options;
  const count = driver.deviceCount();
  if (!Number.isInteger(ordinal) || ordinal < 0 || ordinal >= count) {
    const devices = count === 1 ? "1 device, of ordinal 0" : `${count} devices, of ordinals 0 to ${count - 1}`;
    throw noDevice(
      count === 0 ? "CUDA has no device here" : `There is no CUDA device ${ordinal}: there is ${devices}`,
      count === 0 ? "Check with nvidia-smi that the card is there" : "Pass one of those as ordinal",
    );
  }
  try {
    return openDevice(driver, ordinal);
  } catch (thrown) {
    if (!(thrown instanceof CudaCallError)) throw thrown;
    throw noDevice(
      `CUDA device ${ordinal} cannot be opened: ${thrown.message}`,
      "Check with nvidia-smi that the card is free: another process may have it to itself, or all of its memory",
      thrown,
    );
  }
}

/** Drivers before CUDA 12.3 cannot capture early launches in a graph. */
const EARLY_VERSION = 12030;

function openDevice(driver: CudaDriver, ordinal: number): CudaDevice {
  const id = driver.device(ordinal);
  const attribute = (name: keyof typeof ATTRIBUTE) => driver.deviceAttribute(id, ATTRIBUTE[name]);
  const context = driver.retainPrimaryContext(id);
  const call: CudaDevice["call"] = (doing, work) => {
    try {
      // Another library of this thread may have made another context current.
      driver.setCurrentContext(context);
      return work(driver);
    } catch (thrown) {
      throw asHireError(doing, thrown);
    }
  };
  const version = driver.version();
  let stream: CudaStream | undefined;
  const device: CudaDevice = {
    ordinal,
    name: driver.deviceName(id),
    capability: attribute("computeCapabilityMajor") * 10 + attribute("computeCapabilityMinor"),
    memoryBytes: driver.deviceMemory(id),
    multiprocessors: attribute("multiprocessors"),
    launchesEarly: version >= EARLY_VERSION && process.env.HIREC_CUDA_EARLY !== "0",
    driverVersion: `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`,
    limits: {
      sharedMemPerBlock: attribute("sharedMemPerBlock"),
      maxThreadsPerBlock: attribute("maxThreadsPerBlock"),
      maxGridSize: attribute("maxGridSize"),
    },
    get stream() {
      stream ??= createStream(device);
      return stream;
    },
    call,
    memory: () => call("asking for free memory", (each) => each.memoryInfo()),
    createStream: () => createStream(device),
    borrowStream: (handle) => streamOf(device, handle),
    createEvent: () => createEvent(device),
    allocate: (dtype, length) => allocateBuffer(device, dtype, length),
    capture: (work) => captureGraph(device, work),
    close: () => {
      stream?.destroy();
      stream = undefined;
      call("closing the device", (each) => each.releasePrimaryContext(id));
    },
  };
  return device;
}

/** After one of these nothing works in the process any more (CUDA Driver API, CUresult: "must be terminated and relaunched"). */
const FATAL: ReadonlySet<number> = new Set([4, 201, 214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 911]);

function asHireError(doing: string, thrown: unknown): unknown {
  if (!(thrown instanceof CudaCallError)) return thrown;
  const { number } = thrown;
  if (number === RESULT.OUT_OF_MEMORY) {
    return outOfMemory(`The device ran out of memory while ${doing}`, thrown);
  }
  if (FATAL.has(number)) {
    return new HireError(
      {
        code: "HIRE-RUN-005",
        message: `The device was lost while ${doing}: ${reasonOf(thrown)}`,
        fix: "Start the process again: CUDA does not recover from this. If buffers of yours were passed, check their sizes",
      },
      { cause: thrown },
    );
  }
  return new HireError(
    {
      code: "HIRE-RUN-004",
      message: `The device refused a command while ${doing}: ${reasonOf(thrown)}`,
      fix: "Check that streams, buffers and models belong to this device and are not destroyed, and that nothing is allocated, run or waited for while work is captured",
    },
    { cause: thrown },
  );
}

export function outOfMemory(message: string, cause?: unknown): HireError {
  return new HireError(
    {
      code: "HIRE-RUN-013",
      message,
      fix: "Free memory of the device (nvidia-smi shows who holds it), load fewer layers, or take a smaller estimator or batch",
    },
    { cause },
  );
}
