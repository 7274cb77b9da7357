// What ranks do when a call is not completed: each sends to all what it is doing, and whoever is silent is missing. In the
// good case no message is sent for it and none is looked for.

import type { Statement } from "./faults.ts";
import type { Mpi, Request } from "./libmpi.ts";
import { fromRecord, RECORD_BYTES, toRecord } from "./records.ts";

/** How long an answer may take. Open MPI's mpirun kills a second after it has asked ranks to end. */
const GRACE_MILLISECONDS = 500;

export interface RollCall {
  /** Whether a rank has called. Costs a look into MPI, and is for those who have waited for long. */
  hasBegun(): boolean;
  /** Says what this rank is doing, and listens. @returns rank by rank, undefined for the silent. */
  hold(mine: Statement): Promise<readonly (Statement | undefined)[]>;
  /** Says it without listening, on the way out of the process. */
  leave(mine: Statement): void;
}

export function rollCallOver(mpi: Mpi, rank: number, size: number): RollCall {
  const statements: (Statement | undefined)[] = Array.from({ length: size });
  // What is sent has to live until MPI has sent it, which for a rank that is gone is never.
  const kept: [Uint8Array, Request][] = [];
  const incoming = new Uint8Array(RECORD_BYTES);

  function send(mine: Statement): void {
    statements[rank] = mine;
    const record = toRecord({ rank, statement: shortened(mine) });
    for (let other = 0; other < size; other++) {
      if (other !== rank) attempt(() => kept.push([record, mpi.startSend(record, other)]));
    }
  }

  function listen(): void {
    while (attempt(() => mpi.receive(incoming))) {
      const { rank, statement } = fromRecord(incoming) as { rank: number; statement: Statement };
      statements[rank] = statement;
    }
  }

  return {
    hasBegun: () => {
      listen();
      return statements.some((statement) => statement);
    },
    hold: async (mine) => {
      send(mine);
      const end = performance.now() + GRACE_MILLISECONDS;
      while (performance.now() < end && statements.includes(undefined)) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        listen();
      }
      return statements;
    },
    leave: (mine) => {
      send(mine);
      listen();
    },
  };
}

/** What MPI refuses here is no news: something is wrong already, and silence says it. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

/** Records have one size, and words may be of any length. */
function shortened(statement: Statement): Statement {
  const { doing, saw } = statement;
  return { ...statement, doing: doing.slice(0, TEXT_LETTERS), ...(saw && { saw: saw.slice(0, TEXT_LETTERS) }) };
}

/** Two texts of so many letters, each of at most 3 bytes, or 6 when escaped as JSON, fit a record with the numbers. */
const TEXT_LETTERS = 70;
