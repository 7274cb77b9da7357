// Shards as processes of an MPI job, `mpirun -n 4 node …`.

import { HireError, reasonOf } from "../errors.ts";
import { inOrder } from "./calls.ts";
import type { Collective } from "./collective.ts";
import { type CollectiveOptions, deadlineOf, milliseconds } from "./deadline.ts";
import { loadMpi, type Mpi, unconnected } from "./libmpi.ts";
import { joinJob, type MpiJob } from "./mpi-job.ts";
import { type MpiLaunch, mpiLaunch } from "./mpi-launch.ts";
import { FAREWELL_MILLISECONDS } from "./mpi-process.ts";
import { addInRankOrder } from "./sum.ts";

/** MPI is initialized once in a process, and not again after it was finalized. */
let isOpen = false;

/**
 * Joins the processes that mpirun started; by itself a process is one of one.
 * @param options whose deadline is by default the seconds of the environment variable HIREC_COLLECTIVE_DEADLINE, or 30.
 * @throws HireError HIRE-RUN-014 when MPI cannot be loaded or does not know of the others, HIRE-RUN-007 when koffi is missing,
 * HIRE-RUN-015 when not all come. Calls throw HIRE-RUN-015 and HIRE-RUN-017; the process then has to end, which ends the job.
 */
export async function openMpi({ deadline = deadlineOf(process.env) }: CollectiveOptions = {}): Promise<Collective> {
  if (isOpen) throw unconnected("MPI is open already in this process", "Open it once, and give it to every layer");
  const launch = mpiLaunch();
  const mpi = await loadMpi(launch);
  isOpen = true;
  await initialize(mpi, deadline, launch);
  return collectiveOf(await joinJob(mpi, deadline), `mpi (${mpi.name})`);
}

async function initialize(mpi: Mpi, deadline: number, launch: MpiLaunch | undefined): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, milliseconds(deadline), "late");
  });
  const come = mpi.initialize().catch((thrown) => {
    throw unconnected(`MPI cannot be initialized: ${reasonOf(thrown)}`, "Start the processes with mpirun of this MPI");
  });
  if ((await Promise.race([come, late])) === "late") {
    // A thread waits inside of MPI and cannot be called back: it would keep the process, and with it the job, alive.
    process.once("exit", (code) => mpi.exitAtOnce(code || 1));
    setTimeout(() => process.exit(), FAREWELL_MILLISECONDS).unref();
    throw new HireError({
      code: "HIRE-RUN-015",
      message: `Rank ${launch?.rank ?? 0} waited ${deadline} s for all ${launch?.size ?? ""} ranks to initialize MPI`,
      fix: "Look for a rank that prints nothing or does other things first; allow more seconds with HIREC_COLLECTIVE_DEADLINE or the option deadline",
    });
  }
  clearTimeout(timer);
  const size = mpi.size();
  if (launch?.size === undefined || launch.size === size) return;
  mpi.finalize();
  throw unconnected(
    `The launcher of ${launch.by} started ${launch.size} ranks, and ${mpi.name} knows of ${size}`,
    "Start the processes with mpirun of the MPI whose library is loaded, or name the library of that mpirun with HIREC_LIBMPI",
  );
}

function collectiveOf(job: MpiJob, engine: string): Collective {
  const run = inOrder();
  const nothing = new Uint8Array();
  return {
    rank: job.rank,
    size: job.size,
    engine,
    allGather: (bytes, doing) => run(() => job.exchange("allGather", [bytes], doing)),
    allReduceSum: (values, doing) => run(() => sumOver(job, values, doing)),
    barrier: (doing) =>
      run(async () => {
        await job.exchange("barrier", [nothing], doing);
      }),
    close: () => run(job.close),
  };
}

async function sumOver(job: MpiJob, values: Float32Array, doing: string): Promise<Float32Array> {
  const { size } = job;
  const { byteLength } = values;
  if (size * byteLength <= ONE_ROUND_BYTES) {
    return addInRankOrder(parts(await job.exchange("allReduceSum", [bytesOf(values)], doing), size));
  }
  // Each rank adds up its share of the values, so that none receives all values of all ranks.
  const share = Math.ceil(values.length / size);
  const padded = new Float32Array(share * size);
  padded.set(values);
  const shares = parts(bytesOf(padded), size).map(bytesOf);
  const sum = addInRankOrder(parts(await job.exchange("allReduceSum", shares, doing, byteLength), size));
  const sums = await job.exchange("allReduceSum", [bytesOf(sum)], doing, byteLength);
  return new Float32Array(sums.buffer, 0, values.length).slice();
}

/** Up to so many bytes of all ranks, one exchange of all values is as fast as two of shares (measured with 4 ranks). */
const ONE_ROUND_BYTES = 32_768;

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Equal parts of bytes that begin at a multiple of four. */
function parts({ buffer, byteOffset, byteLength }: Uint8Array, count: number): Float32Array[] {
  const length = byteLength / 4 / count;
  return Array.from({ length: count }, (_, i) => new Float32Array(buffer, byteOffset + 4 * i * length, length));
}
