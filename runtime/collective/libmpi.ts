// The system's MPI library, called through koffi. Open MPI and MPICH have the same functions, and handles of two kinds:
// Open MPI's are addresses of its variables, MPICH's are numbers of its mpi.h (which Intel MPI and MVAPICH share).

import { HireError, reasonOf } from "../errors.ts";
import { type Library, loadLibrary } from "../node/library.ts";
import { type MpiLaunch, mpiLaunch } from "./mpi-launch.ts";

/** What is needed of MPI; blocks are bytes of equal length, and all that is given stays as it is until it is done. */
export interface Mpi {
  /** Such as "Open MPI 4.1.4". */
  readonly name: string;
  /** MPI_Init_thread on a thread of its own: it waits until every rank has called it. */
  initialize(): Promise<void>;
  rank(): number;
  size(): number;
  startAllGather(give: Uint8Array, take: Uint8Array, blockBytes: number): Request;
  startAllToAll(give: Uint8Array, take: Uint8Array, blockBytes: number): Request;
  /** @throws MpiCallError */
  isDone(request: Request): boolean;
  /** Sends to one rank, outside of collectives. What is given must not change any more. */
  startSend(give: Uint8Array, to: number): Request;
  /** Receives what any rank has sent so; false when there is nothing yet. */
  receive(take: Uint8Array): boolean;
  /** Lets other processes run on this core. */
  yieldCore(): void;
  finalize(): void;
  /** Ends all ranks, this one too. */
  abort(exitCode: number): void;
  /** Ends this process even while a thread of it is inside MPI. */
  exitAtOnce(exitCode: number): void;
}

/** An MPI_Request: a pointer in Open MPI, an int in MPICH. */
export type Request = BigUint64Array;

/** A call that MPI refused. */
export class MpiCallError extends Error {
  constructor(call: string, text: string) {
    super(`${call}: ${text}`);
    this.name = "MpiCallError";
  }
}

const OPEN_MPI = ["libmpi.so.40"];
/** Debian's name, and the one that MPICH, Intel MPI and MVAPICH agreed on. */
const MPICH = ["libmpich.so.12", "libmpi.so.12"];

/**
 * Loads the library that HIREC_LIBMPI names, or else that of the launcher's MPI.
 * @throws HireError HIRE-RUN-014 when there is none, HIRE-RUN-007 when koffi is missing.
 */
export async function loadMpi(launch: MpiLaunch | undefined = mpiLaunch()): Promise<Mpi> {
  // UCX, over which MPICH may run, patches how memory is mapped, which ends Node now and then (docs/traps.md).
  process.env.UCX_MEM_EVENTS ??= "n";
  const usual = launch?.by === "MPICH" ? [...MPICH, ...OPEN_MPI] : [...OPEN_MPI, ...MPICH];
  const names = process.env.HIREC_LIBMPI ? [process.env.HIREC_LIBMPI] : usual;
  const reasons: string[] = [];
  for (const name of names) {
    try {
      return bind(await loadLibrary(name), await loadSystem(name));
    } catch (thrown) {
      if (thrown instanceof HireError) throw thrown;
      reasons.push(`${name}: ${reasonOf(thrown)}`);
    }
  }
  throw unconnected(
    `No MPI library can be loaded; ${reasons.join("; ")}`,
    "Install Open MPI or MPICH, the one whose mpirun starts the processes; HIREC_LIBMPI names its library where it lies elsewhere",
  );
}

export function unconnected(message: string, fix: string): HireError {
  return new HireError({ code: "HIRE-RUN-014", message, fix });
}

/**
 * The C library. With its help the MPI library is never unloaded: koffi would at the end of the process, and the thread that
 * initialized MPI then runs destructors that are gone (docs/traps.md).
 */
async function loadSystem(mpi: string): Promise<Library> {
  const system = await loadLibrary(null);
  system.bind("dlopen", ["const char *", "int"])(mpi, RTLD_NOW);
  return system;
}

function bind(library: Library, system: Library): Mpi {
  const { world, byte, errorsReturn, anySource } = handlesOf(library);
  const textOf = library.bind("MPI_Error_string", ["int", out, out]);
  const failed = (call: string, result: number): MpiCallError => {
    const text = Buffer.alloc(TEXT_BYTES);
    const length = new Int32Array(1);
    textOf(result, text, length);
    return new MpiCallError(call, text.toString("utf8", 0, length[0]));
  };
  const call = (name: string, ...parameters: readonly string[]) => {
    const bound = library.bind(name, parameters);
    return (...given: readonly unknown[]) => {
      const result = bound(...given);
      if (result !== 0) throw failed(name, result);
    };
  };
  const numberOf = (write: (number: Int32Array) => void): number => {
    const number = new Int32Array(1);
    write(number);
    return number[0]!;
  };
  /** What starts without waiting. */
  const started = (write: (request: Request) => void): Request => {
    const request = new BigUint64Array(1);
    write(request);
    return request;
  };
  const block = ["void *", "int", handle];

  const initThread = library.bindAsync("MPI_Init_thread", [out, out, "int", out]);
  const setErrorHandler = call("MPI_Comm_set_errhandler", handle, handle);
  const commRank = call("MPI_Comm_rank", handle, out);
  const commSize = call("MPI_Comm_size", handle, out);
  const allGather = call("MPI_Iallgather", ...block, ...block, handle, out);
  const allToAll = call("MPI_Ialltoall", ...block, ...block, handle, out);
  const test = call("MPI_Test", out, out, out);
  const send = call("MPI_Isend", ...block, "int", "int", handle, out);
  const probe = call("MPI_Iprobe", "int", "int", handle, out, out);
  const receive = call("MPI_Recv", ...block, "int", "int", handle, out);
  const [flag, status] = [new Int32Array(1), new Uint8Array(STATUS_BYTES)];

  return {
    name: nameOf(library),
    initialize: async () => {
      const provided = new Int32Array(1);
      const result = await initThread(null, null, THREAD_SERIALIZED, provided);
      if (result !== 0) throw failed("MPI_Init_thread", result);
      setErrorHandler(world, errorsReturn);
    },
    rank: () => numberOf((rank) => commRank(world, rank)),
    size: () => numberOf((size) => commSize(world, size)),
    startAllGather: (give, take, bytes) =>
      started((request) => allGather(give, bytes, byte, take, bytes, byte, world, request)),
    startAllToAll: (give, take, bytes) =>
      started((request) => allToAll(give, bytes, byte, take, bytes, byte, world, request)),
    isDone: (request) => {
      test(request, flag, status);
      return flag[0] !== 0;
    },
    startSend: (give, to) => started((request) => send(give, give.byteLength, byte, to, TAG, world, request)),
    receive: (take) => {
      probe(anySource, TAG, world, flag, status);
      if (flag[0] === 0) return false;
      receive(take, take.byteLength, byte, anySource, TAG, world, status);
      return true;
    },
    yieldCore: system.bind("sched_yield", []),
    finalize: call("MPI_Finalize"),
    abort: (exitCode) => call("MPI_Abort", handle, "int")(world, exitCode),
    exitAtOnce: system.bind("_exit", ["int"]),
  };
}

/** Handles are passed as uint64: that is what a pointer is, and an int in a register or on the stack of 64-bit platforms. */
const handle = "uint64_t";
const out = "void *";
/** MPI_THREAD_SERIALIZED: several threads, one at a time. */
const THREAD_SERIALIZED = 2;
/** An MPI_Status has 20 bytes in MPICH and 24 in Open MPI. */
const STATUS_BYTES = 64;
/** MPI_MAX_ERROR_STRING is 256 and 512, MPI_MAX_LIBRARY_VERSION_STRING 256 and 8192. */
const TEXT_BYTES = 8192;
/** Of messages outside of collectives. */
const TAG = 1;
const RTLD_NOW = 2;

function handlesOf(library: Library) {
  const world = library.symbol("ompi_mpi_comm_world");
  return world === undefined
    ? { world: 0x44000000n, byte: 0x4c00010dn, errorsReturn: 0x54000001n, anySource: -2 }
    : {
        world,
        byte: library.symbol("ompi_mpi_byte")!,
        errorsReturn: library.symbol("ompi_mpi_errors_return")!,
        anySource: -1,
      };
}

/** MPI_Get_library_version may be called at any time; its first line begins with the name and the version. */
function nameOf(library: Library): string {
  const text = Buffer.alloc(TEXT_BYTES);
  library.bind("MPI_Get_library_version", [out, out])(text, new Int32Array(1));
  const [line = ""] = text.toString("utf8", 0, text.indexOf(0)).split(/[\n,]/);
  return line
    .replace(/ v(?=\d)/, " ")
    .replace(/ ?(?:Library )?Version:?\s*/, " ")
    .trim();
}
