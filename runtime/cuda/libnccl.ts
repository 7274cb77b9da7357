// NCCL: libnccl.so.2, which comes with PyTorch or from NVIDIA's packages, called through koffi. Names, numbers and meaning are those
// of the NCCL API reference and nccl.h.

import { HireError, reasonOf } from "../errors.ts";
import { type Library, loadLibrary } from "../node/library.ts";
import type { DevicePointer, Handle } from "./driver.ts";

/** What is needed of NCCL. Every function but the first three throws NcclCallError when the call fails. */
export interface Nccl {
  /** Such as "2.23.4". */
  readonly version: string;
  /** What rank 0 makes and tells all others, so that they find each other. */
  uniqueId(): Uint8Array;
  /**
   * Begins to meet the other ranks, with the device of the current context; `isReady` says when they have met. Nothing of the
   * communicator waits for others inside of a call (`blocking = 0`, NCCL 2.14), so that there can be a deadline.
   */
  join(size: number, id: Uint8Array, rank: number): Handle;
  /** Whether the last call has been carried out; of a collective, whether its kernel is on the stream. No other call may come before. */
  isReady(communicator: Handle): boolean;
  /** `take` has room for `bytes` of every rank. */
  allGather(communicator: Handle, give: DevicePointer, take: DevicePointer, bytes: number, stream: Handle): void;
  /** Adds up f32 over all ranks, in place. */
  allReduceSum(communicator: Handle, values: DevicePointer, length: number, stream: Handle): void;
  /** Begins to part from the other ranks, when all that is on streams is done. */
  finalize(communicator: Handle): void;
  destroy(communicator: Handle): void;
  /** Ends kernels that wait for other ranks; frees the communicator. */
  abort(communicator: Handle): void;
}

/** A call that failed. */
export class NcclCallError extends Error {
  /** The ncclResult_t. */
  readonly number: number;

  constructor(call: string, number: number, text: string) {
    super(`${text} (${number}) from ${call}`);
    this.name = "NcclCallError";
    this.number = number;
  }
}

/** The ncclResult_t's that hirec tells apart. */
export const NCCL_RESULT = { SUCCESS: 0, REMOTE_ERROR: 6, IN_PROGRESS: 7 } as const;

export const UNIQUE_ID_BYTES = 128;

/**
 * Loads libnccl.so.2, or the library that the environment variable HIREC_LIBNCCL names.
 * @throws HireError HIRE-RUN-014 when it cannot be loaded or is older than 2.14, HIRE-RUN-007 when koffi is missing.
 */
export async function loadNccl(): Promise<Nccl> {
  // Otherwise the first collective of a kind connects to the other ranks, and waits for them inside of the call (NCCL 2.22).
  process.env.NCCL_RUNTIME_CONNECT ??= "0";
  const path = process.env.HIREC_LIBNCCL || "libnccl.so.2";
  try {
    const library = await loadLibrary(path);
    // Once more, so that it stays: koffi unloads it at the end of the process, when threads of NCCL may still run.
    library.bind("dlopen", ["const char *", "int"])(path, RTLD_NOW);
    return bind(library);
  } catch (thrown) {
    if (thrown instanceof HireError) throw thrown;
    throw new HireError(
      {
        code: "HIRE-RUN-014",
        message: `NCCL cannot be loaded: ${path}: ${reasonOf(thrown)}`,
        fix: "Install NCCL 2.14 or later; HIREC_LIBNCCL names its library where it lies elsewhere, as PyTorch's does (site-packages/nvidia/nccl/lib/libnccl.so.2)",
      },
      { cause: thrown },
    );
  }
}

function bind(library: Library): Nccl {
  const [handle, out, size] = ["uint64_t", "void *", "size_t"];
  const textOf = library.bindText("ncclGetErrorString", ["int"]);
  const lastError = library.bindText("ncclGetLastError", [handle]);
  const failed = (call: string, result: number): NcclCallError => {
    const last = lastError(0n)?.trim();
    return new NcclCallError(call, result, `${textOf(result)}${last ? `: ${last}` : ""}`);
  };
  const call = (name: string, ...parameters: readonly unknown[]) => {
    const bound = library.bind(name, parameters);
    return (...given: readonly unknown[]) => {
      const result = bound(...given);
      if (result !== NCCL_RESULT.SUCCESS && result !== NCCL_RESULT.IN_PROGRESS) throw failed(name, result);
    };
  };
  const getVersion = call("ncclGetVersion", out);
  const getUniqueId = call("ncclGetUniqueId", out);
  const uniqueIdByValue = library.bytesByValue(UNIQUE_ID_BYTES);
  const initRank = call("ncclCommInitRankConfig", out, "int", uniqueIdByValue, "int", out);
  const getAsyncError = call("ncclCommGetAsyncError", handle, out);
  const allGather = call("ncclAllGather", handle, handle, size, "int", handle, handle);
  const allReduce = call("ncclAllReduce", handle, handle, size, "int", "int", handle, handle);

  const version = new Int32Array(1);
  getVersion(version);
  return {
    version: versionText(version[0]!),
    uniqueId: () => {
      const id = new Uint8Array(UNIQUE_ID_BYTES);
      getUniqueId(id);
      return id;
    },
    join: (ranks, id, rank) => {
      const communicator = new BigUint64Array(1);
      initRank(communicator, ranks, { bytes: id }, rank, NONBLOCKING);
      return communicator[0]!;
    },
    isReady: (communicator) => {
      const state = new Int32Array(1);
      getAsyncError(communicator, state);
      if (state[0] === NCCL_RESULT.IN_PROGRESS) return false;
      if (state[0] !== NCCL_RESULT.SUCCESS) throw failed("ncclCommGetAsyncError", state[0]!);
      return true;
    },
    allGather: (communicator, give, take, bytes, stream) =>
      allGather(give, take, bytes, DATA_TYPE.uint8, communicator, stream),
    allReduceSum: (communicator, values, length, stream) =>
      allReduce(values, values, length, DATA_TYPE.float32, SUM, communicator, stream),
    finalize: call("ncclCommFinalize", handle),
    destroy: call("ncclCommDestroy", handle),
    abort: call("ncclCommAbort", handle),
  };
}

/** ncclDataType_t. */
const DATA_TYPE = { uint8: 1, float32: 7 } as const;
/** ncclRedOp_t. */
const SUM = 0;
const RTLD_NOW = 2;

/**
 * ncclConfig_t as of 2.14, which later versions read by its size and version: the size as 64 bits, a magic number, the version, and
 * `blocking`.
 */
const NONBLOCKING = Uint32Array.of(24, 0, 0xcafebeef, 21400, 0, 0);

/** 22304 is 2.23.4. */
function versionText(code: number): string {
  return `${Math.floor(code / 10000)}.${Math.floor(code / 100) % 100}.${code % 100}`;
}
