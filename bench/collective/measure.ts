// What a rank measures: all-gathers of what shards of a head send, beside the full logits that they would send otherwise, and
// the sum of a feed-forward's outputs. Started by mpirun, this file joins the others and measures.

import type { Collective } from "hirec/runtime";
import { mpiLaunch, openMpi } from "hirec/runtime/node";

/** Rows of Gemma's head. */
const LOGITS = 256_000;

/** Each prepares a call. */
const COLUMNS: Readonly<Record<string, (collective: Collective) => () => Promise<unknown>>> = {
  barrier: (collective) => () => collective.barrier("measuring"),
  "gather 64 B": gatherOf(() => 64),
  "gather 1 KB": gatherOf(() => 1024),
  "gather 16 KB": gatherOf(() => 16_384),
  "full logits": gatherOf((size) => (4 * LOGITS) / size),
  "sum 16 KB": sumOf(4096),
  "sum 128 KB": sumOf(32_768),
};

function gatherOf(bytes: (size: number) => number) {
  return (collective: Collective) => {
    const mine = new Uint8Array(bytes(collective.size)).fill(collective.rank);
    return () => collective.allGather(mine, "measuring");
  };
}

function sumOf(length: number) {
  return (collective: Collective) => {
    const mine = new Float32Array(length).fill(collective.rank);
    return () => collective.allReduceSum(mine, "measuring");
  };
}

export function printHeader(): void {
  printRow(["median, ninth tenth, in µs", ...Object.keys(COLUMNS)]);
}

/** Rank 0 prints a line. */
export async function measure(collective: Collective, rounds: number): Promise<void> {
  const cells: string[] = [];
  for (const prepare of Object.values(COLUMNS)) {
    const call = prepare(collective);
    const times: number[] = [];
    for (let round = -rounds / 10; round < rounds; round++) {
      // Two ranks may take turns at waiting: one finds the other's message there, and the next time waits twice as long.
      const begun = performance.now();
      await call();
      await call();
      if (round >= 0) times.push((1000 * (performance.now() - begun)) / 2);
    }
    times.sort((a, b) => a - b);
    cells.push([0.5, 0.9].map((share) => times[Math.floor(rounds * share)]!.toFixed(0)).join(", "));
  }
  const { engine, rank, size } = collective;
  if (rank === 0) printRow([`${engine}, ${size} rank${size > 1 ? "s" : ""}`, ...cells]);
}

function printRow(cells: readonly string[]): void {
  console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(30) : cell.padStart(16))).join(""));
}

/** For mpirun: root, and more ranks than cores, are refused without these. */
export const MPIRUN_ENVIRONMENT = {
  ...process.env,
  OMPI_ALLOW_RUN_AS_ROOT: "1",
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
  OMPI_MCA_rmaps_base_oversubscribe: "1",
};

if (mpiLaunch()) {
  const collective = await openMpi();
  await measure(collective, Number(process.argv[2]));
  await collective.close();
}
