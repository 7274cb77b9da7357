// The end of a process of an MPI job, foreseen or not: the others are told, and the job ends with it.

import type { HireError } from "../errors.ts";
import type { Call } from "./calls.ts";
import type { Mpi } from "./libmpi.ts";
import type { RollCall } from "./roll-call.ts";

export interface ProcessState {
  /** The call that is being made, or the last one. */
  call: Call;
  isWaiting: boolean;
  isClosed: boolean;
  failure?: HireError;
  /** Why this process has to end. */
  told?: string;
}

/** While the others find out what happened and print it; the launcher may kill them as soon as one has ended. */
export const FAREWELL_MILLISECONDS = 500;

/**
 * Watches for the end of the process and for SIGTERM, by which Open MPI's mpirun ends ranks a second after one has died.
 * @returns what ends the watch.
 */
export function watchProcess(mpi: Mpi, state: ProcessState, rollCall: RollCall): () => void {
  const onExit = (code: number) => {
    if (!state.failure) rollCall.leave({ ...state.call, hasEnded: true, saw: `ended with exit code ${code}` });
    const end = performance.now() + FAREWELL_MILLISECONDS;
    const pause = new Int32Array(new SharedArrayBuffer(4));
    // Looking for messages is what lets MPI send.
    for (; performance.now() < end; Atomics.wait(pause, 0, 0, 1)) rollCall.hasBegun();
    mpi.abort(code || 1);
  };
  const onTerminate = () => {
    if (state.isWaiting) state.told = "was told to end by SIGTERM";
    // Somebody else's listener decides what becomes of the process.
    else if (process.listenerCount("SIGTERM") === 1) {
      setTimeout(() => process.exit(SIGTERM_EXIT_CODE), state.failure ? FAREWELL_MILLISECONDS : 0);
    }
  };
  process.once("exit", onExit).on("SIGTERM", onTerminate);
  return () => {
    process.off("exit", onExit).off("SIGTERM", onTerminate);
  };
}

/** What shells show for a process that SIGTERM ended. */
const SIGTERM_EXIT_CODE = 143;
