// What a process of an MPI job of the tests does: node rank.ts SCENARIO FOLDER. It leaves what it returned, or the error that it
// met, in FOLDER/<rank>.json, because outputs of ranks mix and launchers add to them.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { agree, type Facts } from "../../runtime/collective/agree.ts";
import type { Collective } from "../../runtime/collective/collective.ts";
import { openMpi } from "../../runtime/collective/mpi.ts";
import { mpiLaunch } from "../../runtime/collective/mpi-launch.ts";
import { HireError } from "../../runtime/errors.ts";
import { exercise } from "./exercise.ts";

/** What a rank leaves behind. */
export interface RankReport {
  readonly rank: number;
  readonly pid: number;
  readonly value?: unknown;
  readonly error?: { readonly code: string; readonly message: string; readonly fix: string; readonly count: number };
  /** From the call that failed to the error. */
  readonly milliseconds: number;
}

export const EXERCISE_ROUNDS = 2000;

/** The rank that goes wrong in scenarios in which one does. */
export const ODD = 1;

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const isOdd = ({ rank }: { readonly rank: number }) => rank === ODD;
const gather = (collective: Collective, bytes = 100) => collective.allGather(new Uint8Array(bytes), "gathering bytes");

/** One rank does something, and the others wait for it in an all-gather. */
function oddOne(deed: (collective: Collective) => unknown) {
  return async (collective: Collective) => {
    await gather(collective);
    if (isOdd(collective)) await deed(collective);
    await gather(collective);
  };
}

function facts({ rank, size }: Collective, changed: Partial<Facts> = {}): Facts {
  const common = { version: "1.2.3", plan: "ab".repeat(32), pack: "cd".repeat(32), shards: size, shard: rank };
  return rank === ODD ? { ...common, ...changed } : common;
}

export const SCENARIOS = {
  exercise: (collective) => exercise(collective, EXERCISE_ROUNDS),
  engine: async ({ engine, rank, size }) => ({ engine, rank, size }),
  together: async (collective) => {
    const calls = [
      gather(collective),
      collective.allReduceSum(Float32Array.of(collective.rank), "adding"),
      collective.barrier("meeting"),
    ];
    return (await Promise.all(calls))[1]?.toString();
  },
  // A rank that waits for a second: does the event loop turn, and what does waiting cost?
  patience: async (collective) => {
    if (isOdd(collective)) await sleep(1000);
    let turns = 0;
    const timer = setInterval(() => turns++, 5);
    const before = process.cpuUsage();
    await collective.barrier("meeting");
    const { user, system } = process.cpuUsage(before);
    clearInterval(timer);
    return { turns, processorMilliseconds: (user + system) / 1000 };
  },

  killed: oddOne(() => process.kill(process.pid, "SIGKILL")),
  terminated: oddOne(async () => {
    process.kill(process.pid, "SIGTERM");
    await sleep(60_000);
  }),
  stopped: oddOne(() => process.kill(process.pid, "SIGSTOP")),
  busy: oddOne(() => {
    for (;;);
  }),
  exits: oddOne(() => process.exit(0)),
  throws: oddOne(() => {
    throw new TypeError("for the test");
  }),
  closes: oddOne((collective) => collective.close()),
  otherBytes: oddOne((collective) => gather(collective, 400)),
  otherKind: oddOne((collective) => collective.barrier("meeting")),
  // One exchange ahead of the others, which is noticed when they do not come to the next.
  ahead: async (collective) => {
    await gather(collective);
    if (!isOdd(collective)) await sleep(60_000);
    await gather(collective);
  },
  forgets: async (collective) => {
    await gather(collective);
    process.exit(0);
  },
  afterwards: async (collective) => {
    const first = await oddOne(() => sleep(60_000))(collective).catch((error) => error);
    const second = await gather(collective).catch((error) => error);
    if (!isOdd(collective) && first !== second) throw new Error("another error the second time");
    throw first;
  },

  agrees: (collective) => agree(collective, facts(collective)),
  otherPlan: (collective) => agree(collective, facts(collective, { plan: "ba".repeat(32) })),
  fourShards: (collective) => agree(collective, { ...facts(collective), shards: 4 }),

  twice: () => openMpi(),
  // Here it goes wrong before the ranks meet.
  absent: gather,
} satisfies Record<string, (collective: Collective) => Promise<unknown>>;

export type Scenario = keyof typeof SCENARIOS;

async function main(scenario: Scenario, folder: string): Promise<void> {
  const rank = mpiLaunch()?.rank ?? 0;
  let begun = performance.now();
  const report = (result: Partial<RankReport>) =>
    writeFileSync(
      join(folder, `${rank}.json`),
      JSON.stringify({ rank, pid: process.pid, ...result, milliseconds: performance.now() - begun }),
    );
  report({});
  try {
    if (scenario === "absent" && rank === ODD) await sleep(60_000);
    const collective = await openMpi();
    begun = performance.now();
    try {
      report({ value: await SCENARIOS[scenario](collective) });
    } finally {
      await collective.close();
    }
  } catch (thrown) {
    if (!(thrown instanceof HireError)) throw thrown;
    const { code, message, fix } = thrown.diagnostics[0]!;
    report({ error: { code, message, fix, count: thrown.diagnostics.length } });
    process.exitCode = 1;
  }
}

if (process.argv[2] && process.argv[2] in SCENARIOS) await main(process.argv[2] as Scenario, process.argv[3]!);
