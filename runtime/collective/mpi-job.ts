// The ranks of an MPI job as seen by one of them: exchanges that are completed or end with an error on every rank. When one is
// not completed, ranks find out by a roll call who is missing, each throws what it found, and its end aborts the job.

import { hostname } from "node:os";
import type { Call } from "./calls.ts";
import { verdictOf } from "./faults.ts";
import type { Mpi } from "./libmpi.ts";
import { exchangeOver } from "./mpi-exchange.ts";
import { type ProcessState, watchProcess } from "./mpi-process.ts";
import { fromRecords, toRecord } from "./records.ts";
import { rollCallOver } from "./roll-call.ts";

export interface MpiJob {
  readonly rank: number;
  readonly size: number;
  /**
   * Gives one block to all ranks, or one of equal length to each, and returns everybody's blocks for this one.
   * @param bytes of the call, where that is not the length of a block.
   */
  exchange(kind: Call["kind"], blocks: readonly Uint8Array[], doing: string, bytes?: number): Promise<Uint8Array>;
  /** Waits until all close, and finalizes MPI; never throws. */
  close(): Promise<void>;
}

/** What a process is for people who look for it. */
interface ProcessName {
  readonly host: string;
  readonly pid: number;
}

/** @throws HireError HIRE-RUN-015 and HIRE-RUN-017, also from exchanges. */
export async function joinJob(mpi: Mpi, deadline: number): Promise<MpiJob> {
  const [rank, size] = [mpi.rank(), mpi.size()];
  const rollCall = rollCallOver(mpi, rank, size);
  let processes: readonly ProcessName[] = [];
  const state: ProcessState = {
    call: { number: -1, kind: "open", bytes: 0, doing: "starting" },
    isWaiting: false,
    isClosed: false,
  };
  const leave = watchProcess(mpi, state, rollCall);

  async function giveUp(call: Call, saw?: string): Promise<never> {
    const heard = await rollCall.hold({ ...call, ...(saw && { saw }) });
    const ended = { ...call, saw: "has ended", hasEnded: true };
    state.failure = verdictOf({
      rank,
      statements: heard.map((statement, other) => statement ?? (isGone(processes[other]) ? ended : undefined)),
      name: (other) => nameOf(other, processes[other]),
    });
    throw state.failure;
  }
  const exchangeBlocks = exchangeOver(mpi, size, {
    giveUp,
    isHopeless: (waited) => {
      if (state.told) return { saw: state.told };
      if (waited > deadline * 1000) return { saw: `waited ${deadline} s` };
      return rollCall.hasBegun() ? {} : undefined;
    },
  });

  const exchange: MpiJob["exchange"] = async (kind, blocks, doing, bytes = blocks[0]!.byteLength) => {
    if (state.isClosed) throw new Error("MPI is closed");
    if (state.failure) throw state.failure;
    state.call = { number: state.call.number + 1, kind, bytes, doing };
    state.isWaiting = true;
    try {
      const gathered = await exchangeBlocks(state.call, blocks);
      if (state.told) await giveUp(state.call, state.told);
      return gathered;
    } finally {
      state.isWaiting = false;
    }
  };
  const me: ProcessName = { host: hostname(), pid: process.pid };
  processes = fromRecords(await exchange("open", [toRecord(me)], "meeting the other ranks")) as ProcessName[];
  return {
    rank,
    size,
    exchange,
    close: async () => {
      await exchange("close", [new Uint8Array()], "closing").catch(() => {});
      // After a failure the end of the process aborts the job, when its errors have been told.
      if (state.failure || state.isClosed) return;
      state.isClosed = true;
      leave();
      mpi.finalize();
    },
  };
}

function nameOf(rank: number, of: ProcessName | undefined): string {
  return `rank ${rank}${of ? ` (process ${of.pid} on ${of.host})` : ""}`;
}

/** Of processes on other hosts nothing is known. */
function isGone(other: ProcessName | undefined): boolean {
  if (other?.host !== hostname()) return false;
  try {
    return !process.kill(other.pid, 0);
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === "ESRCH";
  }
}
