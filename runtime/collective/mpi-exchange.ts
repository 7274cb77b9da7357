// One nonblocking collective of MPI: blocks with headers out, and everybody's in, polled in a way that costs microseconds when
// all are there and next to nothing when they are not.

import { type Call, HEADER_BYTES, headerOf, isSameCall, readHeader } from "./calls.ts";
import { type Mpi, MpiCallError, type Request } from "./libmpi.ts";

export interface Rescue {
  /** Whether to wait no longer, and why, after so many milliseconds; asked once per millisecond, and not at first. */
  isHopeless(waited: number): { readonly saw?: string } | undefined;
  /** Finds out who is to blame, and throws. */
  giveUp(call: Call, saw?: string): Promise<never>;
}

/**
 * @returns a function that gives one block to all ranks, or one to each, and returns the blocks of all ranks for this one. Calls
 * must follow each other.
 */
export function exchangeOver(mpi: Mpi, size: number, { isHopeless, giveUp }: Rescue) {
  let give = new Uint8Array();
  let take = new Uint8Array();

  async function completed(request: Request, call: Call): Promise<void> {
    const started = performance.now();
    for (;;) {
      const waited = performance.now() - started;
      const isEager = waited < EAGER_MILLISECONDS;
      for (let look = 0; look < (isEager ? 1 : PATIENT_LOOKS); look++) {
        if (mpi.isDone(request)) return;
      }
      if (!isEager) {
        const hopeless = isHopeless(waited);
        if (hopeless) await giveUp(call, hopeless.saw);
        await new Promise((resolve) => setTimeout(resolve, 1));
        continue;
      }
      // Without this, ranks that share a core wait for the end of each other's time slice: 11 ms instead of 50 µs.
      mpi.yieldCore();
      if (waited > SPIN_MILLISECONDS) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  return async (call: Call, blocks: readonly Uint8Array[]): Promise<Uint8Array> => {
    const bytes = blocks[0]!.byteLength;
    const stride = HEADER_BYTES + bytes;
    give = atLeast(give, blocks.length * stride);
    take = atLeast(take, size * stride);
    const header = headerOf(call);
    blocks.forEach((block, i) => {
      give.set(header, i * stride);
      give.set(block, i * stride + HEADER_BYTES);
    });
    const start = blocks.length === 1 ? mpi.startAllGather : mpi.startAllToAll;
    try {
      await completed(start(give, take, stride), call);
    } catch (thrown) {
      if (!(thrown instanceof MpiCallError)) throw thrown;
      await giveUp(call, `met an error of MPI (${thrown.message})`);
    }
    const gathered = new Uint8Array(size * bytes);
    for (let rank = 0; rank < size; rank++) {
      const block = take.subarray(rank * stride, (rank + 1) * stride);
      const theirs = readHeader(block);
      if (!theirs || !isSameCall({ ...theirs, doing: "" }, call)) {
        await giveUp(call, `received another call of rank ${rank}`);
      }
      gathered.set(block.subarray(HEADER_BYTES), rank * bytes);
    }
    return gathered;
  };
}

/** For so long a rank waits without letting the event loop turn, which takes a few microseconds. */
const SPIN_MILLISECONDS = 0.05;
/** Ranks on equal devices come within this time of each other; until then MPI is asked at every turn of the event loop. */
const EAGER_MILLISECONDS = 2;
/** Afterwards once per millisecond, several times at once: Open MPI looks at its sockets at every eighth call (4.1.4). */
const PATIENT_LOOKS = 16;

/** A buffer that lasts: MPI uses it behind our back, and making one costs more than a small exchange. */
function atLeast(buffer: Uint8Array<ArrayBuffer>, bytes: number): Uint8Array<ArrayBuffer> {
  return buffer.byteLength >= bytes ? buffer : new Uint8Array(Math.max(bytes, 2 * buffer.byteLength));
}
