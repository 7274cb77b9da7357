// Shards on one CUDA device each, whose exchange goes from device memory to device memory (NCCL): it is work on a stream as
// kernels are. How ranks find each other and who is missing is another collective's business, such as MPI's.

import type { Collective } from "../collective/collective.ts";
import { type CollectiveOptions, deadlineOf, milliseconds } from "../collective/deadline.ts";
import { HireError } from "../errors.ts";
import type { CudaDevice } from "./device.ts";
import type { DevicePointer, Handle } from "./driver.ts";
import { loadNccl, NCCL_RESULT, type Nccl, NcclCallError, UNIQUE_ID_BYTES } from "./libnccl.ts";
import { type CudaStream, finish } from "./stream.ts";

/** One rank's part in NCCL. Every rank puts the same calls on streams, in the same order. */
export interface NcclCollective {
  readonly rank: number;
  readonly size: number;
  /** Such as "nccl 2.23.4". */
  readonly engine: string;
  readonly device: CudaDevice;
  /** Everybody's bytes, rank by rank, in `take`; all give as many. Nothing is waited for. @param doing in words, for messages. */
  allGather(stream: CudaStream, give: DevicePointer, take: DevicePointer, bytes: number, doing: string): void;
  /** The sum over ranks of so many f32, in their place. Nothing is waited for. */
  allReduceSum(stream: CudaStream, values: DevicePointer, length: number, doing: string): void;
  /**
   * Does something with exchanges when all ranks are about to do the same, so that who is missing is found before devices wait
   * for it; and where NCCL fails then, the bootstrap is asked who went missing.
   * @param tokens that this rank is about to run.
   */
  together<Result>(tokens: number, doing: string, work: () => Promise<Result>): Promise<Result>;
  /**
   * Resolves when everything is done that is on the stream now.
   * @throws HireError HIRE-RUN-015 when that takes longer than the deadline, or NCCL has lost a rank: NCCL has then ended what
   * waits on the device, and no call succeeds any more.
   */
  finished(stream: CudaStream, doing?: string): Promise<void>;
  /** Waits until all have closed. Never throws. Graphs with exchanges have to be destroyed before; the device and the bootstrap stay. */
  close(): Promise<void>;
}

export interface NcclOptions extends CollectiveOptions {
  /** Instead of libnccl.so.2. */
  readonly nccl?: Nccl;
}

/**
 * Joins the other ranks with a device.
 * @param bootstrap through which rank 0 tells the others where to find it, and which knows who is missing; a rank that is alone
 * needs none.
 * @param options whose deadline is by default the seconds of the environment variable HIREC_COLLECTIVE_DEADLINE, or 30.
 * @throws HireError HIRE-RUN-014 when NCCL cannot be loaded or that variable is no number of seconds, HIRE-RUN-007 when koffi is missing, HIRE-RUN-016 when ranks have
 * different versions of NCCL, HIRE-RUN-021 when NCCL refuses, HIRE-RUN-015 when not all come, and whatever the bootstrap throws.
 */
export async function ncclCollective(
  device: CudaDevice,
  bootstrap?: Collective,
  { deadline = deadlineOf(process.env), nccl: given }: NcclOptions = {},
): Promise<NcclCollective> {
  const { rank, size } = bootstrap ?? { rank: 0, size: 1 };
  const starting = "starting NCCL";
  const call = <Result>(doing: string, work: () => Result): Result => {
    try {
      return device.call(doing, work);
    } catch (thrown) {
      throw thrown instanceof NcclCallError ? failed(doing, rank, thrown) : thrown;
    }
  };

  const nccl = given ?? (await loadNccl());
  const id = await idOfRank0(nccl, bootstrap, () => call(starting, nccl.uniqueId));
  /** Nothing once it is freed. */
  let communicator: Handle | undefined = call(starting, () => nccl.join(size, id, rank));
  let failure: unknown;
  let verdict: Promise<void> | undefined;

  const open = (): Handle => {
    if (failure) throw failure;
    if (communicator === undefined) throw new Error("NCCL is closed");
    return communicator;
  };
  /** Does something; when that fails, ends what waits on the device, and no call succeeds any more. */
  const orAbandon = <Result>(doing: string, work: (communicator: Handle) => Result): Result => {
    const handle = open();
    try {
      return work(handle);
    } catch (thrown) {
      failure = thrown;
      communicator = undefined;
      try {
        device.call(doing, () => nccl.abort(handle));
      } catch {
        // Something is wrong already, and that is what has to be told.
      }
      throw thrown;
    }
  };
  /** Whether NCCL has done what it was last told, after so many milliseconds of waiting for that or for the device. */
  const isReady = (doing: string, waited: number): boolean =>
    orAbandon(doing, (handle) => {
      const ready = call(doing, () => nccl.isReady(handle));
      if (waited <= milliseconds(deadline)) return ready;
      throw unfinished(`Rank ${rank} waited ${deadline} s during ${doing}`);
    });
  const settled = async (doing: string): Promise<void> => {
    const started = performance.now();
    while (!isReady(doing, performance.now() - started)) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  const enqueue = (doing: string, start: (communicator: Handle) => void): void => {
    orAbandon(doing, (handle) => call(doing, () => start(handle)));
    // A thread of NCCL's puts the kernel on the stream, in microseconds; what comes behind it has to wait for that.
    const started = performance.now();
    while (!isReady(doing, performance.now() - started));
  };
  /** What is known after NCCL has given up: whoever is there still comes here, and the bootstrap says who does not. */
  const withVerdict = async <Result>(doing: string, work: () => Promise<Result>): Promise<Result> => {
    try {
      return await work();
    } catch (thrown) {
      if (!bootstrap || !(thrown instanceof HireError) || thrown.code !== UNFINISHED) throw thrown;
      verdict ??= bootstrap.barrier(`finding out who is missing from ${doing}`).catch((of) => {
        failure = of;
      });
      await verdict;
      throw failure;
    }
  };

  await withVerdict(starting, () => settled(starting));
  return {
    rank,
    size,
    engine: `nccl ${nccl.version}`,
    device,
    allGather: ({ handle }, give, take, bytes, doing) =>
      enqueue(doing, (communicator) => nccl.allGather(communicator, give, take, bytes, handle)),
    allReduceSum: ({ handle }, values, length, doing) =>
      enqueue(doing, (communicator) => nccl.allReduceSum(communicator, values, length, handle)),
    together: async (tokens, doing, work) => {
      open();
      if (bootstrap) requireAlike(await bootstrap.allGather(bytesOf(Uint32Array.of(tokens)), doing), doing);
      return withVerdict(doing, work);
    },
    finished: ({ handle }, doing = "waiting for a stream") =>
      withVerdict(doing, async () => {
        open();
        await finish(device, handle, doing, (waited) => void isReady(doing, waited));
      }),
    close: async () => {
      if (communicator === undefined) return;
      const closing = "closing NCCL";
      try {
        orAbandon(closing, (handle) => call(closing, () => nccl.finalize(handle)));
        await settled(closing);
        const handle = open();
        communicator = undefined;
        call(closing, () => nccl.destroy(handle));
      } catch {}
    },
  };
}

const UNFINISHED = "HIRE-RUN-015";

function unfinished(message: string, cause?: unknown): HireError {
  return new HireError(
    {
      code: UNFINISHED,
      message,
      fix: "Look at what the other ranks printed last; where nothing went wrong, allow more seconds with HIREC_COLLECTIVE_DEADLINE or the option deadline, and look at what NCCL_DEBUG=INFO prints of the network",
    },
    { cause },
  );
}

function failed(doing: string, rank: number, thrown: NcclCallError): HireError {
  if (thrown.number === NCCL_RESULT.REMOTE_ERROR) {
    return unfinished(`Rank ${rank} lost another rank during ${doing}: ${thrown.message}`, thrown);
  }
  return new HireError(
    {
      code: "HIRE-RUN-021",
      message: `NCCL failed while ${doing}: ${thrown.message}`,
      fix: "Give every rank a device of its own (CUDA_VISIBLE_DEVICES, or the ordinal of requestCudaDevice); NCCL_DEBUG=WARN makes NCCL print more",
    },
    { cause: thrown },
  );
}

const VERSION_BYTES = 16;

/**
 * Rank 0's id, after all have told their version.
 * @param make is called on rank 0 alone.
 */
async function idOfRank0({ version }: Nccl, bootstrap: Collective | undefined, make: () => Uint8Array) {
  if (!bootstrap) return make();
  const record = new Uint8Array(VERSION_BYTES + UNIQUE_ID_BYTES);
  new TextEncoder().encodeInto(version, record);
  if (bootstrap.rank === 0) record.set(make(), VERSION_BYTES);
  const all = await bootstrap.allGather(record, "exchanging the address of NCCL's rank 0");
  const versions = Array.from({ length: bootstrap.size }, (_, rank) => {
    const start = rank * record.length;
    return new TextDecoder().decode(all.subarray(start, start + VERSION_BYTES)).replace(/\0/g, "");
  });
  const odd = versions.findIndex((each) => each !== versions[0]);
  if (odd > 0) {
    throw new HireError({
      code: "HIRE-RUN-016",
      message: `Rank ${odd} has NCCL ${versions[odd]}, and rank 0 has NCCL ${versions[0]}`,
      fix: "Install one version of NCCL on every machine, or name it with HIREC_LIBNCCL",
    });
  }
  return all.slice(VERSION_BYTES, record.length);
}

function requireAlike(gathered: Uint8Array, doing: string): void {
  const tokens = new Uint32Array(gathered.slice().buffer);
  const odd = tokens.findIndex((each) => each !== tokens[0]);
  if (odd < 0) return;
  throw new HireError({
    code: "HIRE-RUN-017",
    message: `Rank ${odd} is ${doing} with ${tokens[odd]} tokens, and rank 0 with ${tokens[0]}`,
    fix: "Give every rank the same layers, the same number of tokens and the same options, in the same order",
  });
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
