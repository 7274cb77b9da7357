// The CUDA driver: libcuda.so.1, which comes with NVIDIA's driver and not with the toolkit, called through koffi.

import { HireError, reasonOf } from "../errors.ts";
import { type Library, loadLibrary } from "../node/library.ts";
import { CudaCallError, type CudaDriver, RESULT } from "./driver.ts";

/**
 * Loads libcuda.so.1, or the library that the environment variable HIREC_LIBCUDA names.
 * @throws HireError HIRE-RUN-001 when it cannot be loaded or has no device, HIRE-RUN-007 when koffi is missing.
 */
export async function loadCudaDriver(): Promise<CudaDriver> {
  const path = process.env.HIREC_LIBCUDA || (process.platform === "win32" ? "nvcuda.dll" : "libcuda.so.1");
  let driver: CudaDriver;
  try {
    driver = bind(await loadLibrary(path));
  } catch (thrown) {
    if (thrown instanceof HireError) throw thrown;
    throw noDevice(
      `The CUDA driver cannot be loaded: ${path}: ${reasonOf(thrown)}`,
      "Install NVIDIA's driver for the card (nvidia-smi shows whether it works), or run on --device webgpu or software",
      thrown,
    );
  }
  try {
    driver.init();
    return driver;
  } catch (thrown) {
    throw noDevice(
      `The CUDA driver finds no device: ${reasonOf(thrown)}`,
      "Check with nvidia-smi that the card is there and its driver runs; CUDA_VISIBLE_DEVICES may hide it",
      thrown,
    );
  }
}

export function noDevice(message: string, fix: string, cause?: unknown): HireError {
  return new HireError({ code: "HIRE-RUN-001", message, fix }, { cause });
}

/**
 * Names carry the version of their signature: the header of the toolkit renames cuMemAlloc to cuMemAlloc_v2, and the library
 * keeps the first version under the plain name for programs of 2010. Handles and device pointers are passed as uint64,
 * which is what a pointer is to the calling conventions of all platforms with CUDA.
 */
function bind(library: Library): CudaDriver {
  const nameOf = library.bind("cuGetErrorName", ["int", library.outText]);
  const failed = (call: string, result: number): CudaCallError => {
    const name: [string | null] = [null];
    nameOf(result, name);
    return new CudaCallError(call, result, name[0] ?? "CUDA_ERROR_UNKNOWN");
  };
  const call = (name: string, ...parameters: readonly string[]) => {
    const bound = library.bind(name, parameters);
    return (...given: readonly unknown[]) => {
      const result = bound(...given);
      if (result !== 0) throw failed(name, result);
    };
  };
  /** What a call writes through its first parameter. */
  const wordOf = (write: (word: BigUint64Array) => void): bigint => {
    const word = new BigUint64Array(1);
    write(word);
    return word[0]!;
  };
  const numberOf = (write: (number: Int32Array) => void): number => {
    const number = new Int32Array(1);
    write(number);
    return number[0]!;
  };
  const size = "size_t";
  const handle = "uint64_t";
  const out = "void *";

  const cuInit = call("cuInit", "uint32_t");
  const cuDriverGetVersion = call("cuDriverGetVersion", out);
  const cuDeviceGetCount = call("cuDeviceGetCount", out);
  const cuDeviceGet = call("cuDeviceGet", out, "int");
  const cuDeviceGetName = call("cuDeviceGetName", out, "int", "int");
  const cuDeviceTotalMem = call("cuDeviceTotalMem_v2", out, "int");
  const cuDeviceGetAttribute = call("cuDeviceGetAttribute", out, "int", "int");
  const cuDevicePrimaryCtxRetain = call("cuDevicePrimaryCtxRetain", out, "int");
  const cuDevicePrimaryCtxRelease = call("cuDevicePrimaryCtxRelease_v2", "int");
  const cuCtxSetCurrent = call("cuCtxSetCurrent", handle);
  const cuMemGetInfo = call("cuMemGetInfo_v2", out, out);
  const cuMemAlloc = call("cuMemAlloc_v2", out, size);
  const cuMemFree = call("cuMemFree_v2", handle);
  const cuMemGetAddressRange = call("cuMemGetAddressRange_v2", out, out, handle);
  const cuMemcpyHtoDAsync = call("cuMemcpyHtoDAsync_v2", handle, "const void *", size, handle);
  const cuMemcpyDtoHAsync = call("cuMemcpyDtoHAsync_v2", out, handle, size, handle);
  const cuMemcpyDtoDAsync = call("cuMemcpyDtoDAsync_v2", handle, handle, size, handle);
  const cuMemsetD8Async = call("cuMemsetD8Async", handle, "uint8_t", size, handle);
  const cuModuleLoadData = call("cuModuleLoadData", out, "const void *");
  const cuModuleUnload = call("cuModuleUnload", handle);
  const cuModuleGetFunction = call("cuModuleGetFunction", out, handle, "const char *");
  const cuFuncGetAttribute = call("cuFuncGetAttribute", out, "int", handle);
  const unsigned = ["uint32_t", "uint32_t", "uint32_t"] as const;
  const cuLaunchKernel = call("cuLaunchKernel", handle, ...unsigned, ...unsigned, "uint32_t", handle, out, out);
  let cuLaunchKernelEx: ReturnType<typeof call> | undefined;
  /** CUlaunchConfig: grid, block, shared bytes; from word 8 on the stream, the attributes and how many there are. */
  const config = new Uint32Array(14);
  config[12] = 1;
  /** CUlaunchAttribute: its number, and from word 2 on its value. */
  const attribute = new Uint32Array(18);
  attribute.set([LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION, 0, 1]);
  const cuStreamCreate = call("cuStreamCreate", out, "uint32_t");
  const cuStreamDestroy = call("cuStreamDestroy_v2", handle);
  const cuEventCreate = call("cuEventCreate", out, "uint32_t");
  const cuEventDestroy = call("cuEventDestroy_v2", handle);
  const cuEventRecord = call("cuEventRecord", handle, handle);
  const cuEventQuery = library.bind("cuEventQuery", [handle]);
  const cuEventElapsedTime = call("cuEventElapsedTime", out, handle, handle);
  const cuStreamBeginCapture = call("cuStreamBeginCapture_v2", handle, "int");
  const cuStreamEndCapture = call("cuStreamEndCapture", handle, out);
  const cuGraphInstantiate = call("cuGraphInstantiateWithFlags", out, handle, "uint64_t");
  const cuGraphLaunch = call("cuGraphLaunch", handle, handle);
  const cuGraphDestroy = call("cuGraphDestroy", handle);
  const cuGraphExecDestroy = call("cuGraphExecDestroy", handle);

  return {
    init: () => cuInit(0),
    version: () => numberOf(cuDriverGetVersion),
    deviceCount: () => numberOf(cuDeviceGetCount),
    device: (ordinal) => numberOf((device) => cuDeviceGet(device, ordinal)),
    deviceName: (device) => {
      const text = Buffer.alloc(NAME_BYTES);
      cuDeviceGetName(text, NAME_BYTES, device);
      return text.toString("utf8", 0, text.indexOf(0));
    },
    deviceMemory: (device) => Number(wordOf((bytes) => cuDeviceTotalMem(bytes, device))),
    deviceAttribute: (device, attribute) => numberOf((value) => cuDeviceGetAttribute(value, attribute, device)),
    retainPrimaryContext: (device) => wordOf((context) => cuDevicePrimaryCtxRetain(context, device)),
    releasePrimaryContext: cuDevicePrimaryCtxRelease,
    setCurrentContext: cuCtxSetCurrent,

    memoryInfo: () => {
      const [free, total] = [new BigUint64Array(1), new BigUint64Array(1)];
      cuMemGetInfo(free, total);
      return { free: Number(free[0]), total: Number(total[0]) };
    },
    allocate: (bytes) => wordOf((pointer) => cuMemAlloc(pointer, bytes)),
    free: cuMemFree,
    addressRange: (pointer) => {
      const [base, bytes] = [new BigUint64Array(1), new BigUint64Array(1)];
      cuMemGetAddressRange(base, bytes, pointer);
      return { base: base[0]!, bytes: Number(bytes[0]) };
    },
    copyToDevice: (to, from, stream) => cuMemcpyHtoDAsync(to, from, from.byteLength, stream),
    copyToHost: (to, from, stream) => cuMemcpyDtoHAsync(to, from, to.byteLength, stream),
    copyOnDevice: cuMemcpyDtoDAsync,
    fill: cuMemsetD8Async,

    loadModule: (image) => wordOf((module) => cuModuleLoadData(module, image)),
    unloadModule: cuModuleUnload,
    function: (module, name) => wordOf((kernel) => cuModuleGetFunction(kernel, module, name)),
    functionAttribute: (kernel, attribute) => numberOf((value) => cuFuncGetAttribute(value, attribute, kernel)),
    launch: (kernel, [x, y, z], threads, parameters, stream, early) => {
      // Parameters are passed by their addresses; the driver has copied them when it returns.
      const values = BigUint64Array.from(parameters);
      const first = library.addressOf(values);
      const addresses = values.map((_, i) => first + BigInt(i * values.BYTES_PER_ELEMENT));
      if (!early) {
        cuLaunchKernel(kernel, x, y, z, threads, 1, 1, 0, stream, addresses, null);
        return;
      }
      // Drivers before CUDA 12 have no such function.
      cuLaunchKernelEx ??= call("cuLaunchKernelEx", out, handle, out, out);
      config.set([x, y, z, threads, 1, 1, 0]);
      new BigUint64Array(config.buffer).set([stream, library.addressOf(new BigUint64Array(attribute.buffer))], 4);
      cuLaunchKernelEx(config, kernel, addresses, null);
    },

    createStream: () => wordOf((stream) => cuStreamCreate(stream, STREAM_NON_BLOCKING)),
    destroyStream: cuStreamDestroy,
    createEvent: () => wordOf((event) => cuEventCreate(event, 0)),
    destroyEvent: cuEventDestroy,
    recordEvent: cuEventRecord,
    hasPassed: (event) => {
      const result = cuEventQuery(event);
      if (result !== 0 && result !== RESULT.NOT_READY) throw failed("cuEventQuery", result);
      return result === 0;
    },
    elapsed: (start, end) => {
      const milliseconds = new Float32Array(1);
      cuEventElapsedTime(milliseconds, start, end);
      return milliseconds[0]!;
    },

    beginCapture: (stream) => cuStreamBeginCapture(stream, CAPTURE_MODE_THREAD_LOCAL),
    endCapture: (stream) => wordOf((graph) => cuStreamEndCapture(stream, graph)),
    instantiate: (graph) => wordOf((executable) => cuGraphInstantiate(executable, graph, 0)),
    destroyGraph: cuGraphDestroy,
    launchGraph: cuGraphLaunch,
    destroyExecutable: cuGraphExecDestroy,
  };
}

const NAME_BYTES = 256;
/** CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION. */
const LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION = 6;
/** CU_STREAM_NON_BLOCKING: does not wait for the default stream, which other libraries of the process may use. */
const STREAM_NON_BLOCKING = 1;
/** CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do meanwhile is none of the capture's business. */
const CAPTURE_MODE_THREAD_LOCAL = 1;
