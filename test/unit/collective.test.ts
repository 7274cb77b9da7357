// Participants of one process, and what all engines share. test/mpi has the same on real ranks.

import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { agree, type Facts } from "../../runtime/collective/agree.ts";
import type { Collective } from "../../runtime/collective/collective.ts";
import { localCollectives } from "../../runtime/collective/local.ts";
import { localRank, mpiLaunch } from "../../runtime/collective/mpi-launch.ts";
import { VERSION } from "../../runtime/version.ts";
import { exercise } from "../mpi/exercise.ts";

const bytes = (...values: readonly number[]) => Uint8Array.from(values);

/** What each participant does, and what becomes of it. */
const all = <T>(group: readonly Collective[], work: (each: Collective) => Promise<T>) =>
  Promise.allSettled(group.map(work));

describe("local collectives", () => {
  test.each([1, 2, 3, 8])("of %i participants give all the same bytes and bits in hundreds of rounds", async (size) => {
    const hashes = await Promise.all(localCollectives(size).map((each) => exercise(each, 400)));
    expect(new Set(hashes).size).toBe(1);
  });

  test("a result belongs to who gets it, and was made before anybody went on", async () => {
    const results = await Promise.all(
      localCollectives(3).map(async (each) => {
        const mine = Float32Array.of(each.rank + 1);
        const sum = await each.allReduceSum(mine, "adding");
        mine.fill(100);
        sum[0]! += 1;
        return sum[0];
      }),
    );
    expect(results).toEqual([7, 7, 7]);
  });

  test("calls of one participant follow each other", async () => {
    const results = await Promise.all(
      localCollectives(2).map((each) =>
        Promise.all([each.allGather(bytes(each.rank), "first"), each.allGather(bytes(each.rank + 5), "second")]),
      ),
    );
    for (const result of results) expect(result).toEqual([bytes(0, 1), bytes(5, 6)]);
  });

  test("a barrier holds until the last one comes", async () => {
    const events: string[] = [];
    await Promise.all(
      localCollectives(3).map(async (each) => {
        await new Promise((resolve) => setTimeout(resolve, 20 * each.rank));
        events.push("comes");
        await each.barrier("meeting");
        events.push("goes");
      }),
    );
    expect(events).toEqual(["comes", "comes", "comes", "goes", "goes", "goes"]);
  });

  test("closing hides no error of the one that closes", async () => {
    const outcomes = await all(localCollectives(2), async (each) => {
      try {
        if (each.rank === 0) throw new TypeError("of its own");
        await each.barrier("meeting");
      } finally {
        await each.close();
      }
    });
    expect(outcomes).toMatchObject([
      { status: "rejected", reason: { name: "TypeError" } },
      { status: "rejected", reason: { name: "HireError" } },
    ]);
  });

  test("a deadline that no timer can hold is none", async () => {
    const group = localCollectives(2, { deadline: Number.POSITIVE_INFINITY });
    const outcomes = await all(group, async (each) => {
      if (each.rank === 1) await new Promise((resolve) => setTimeout(resolve, 50));
      await each.barrier("meeting");
    });
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"]);
  });
});

test("participants with equal facts agree", async () => {
  const facts = (each: Collective): Facts => ({ version: VERSION, plan: "a", pack: "b", shards: 3, shard: each.rank });
  const outcomes = await all(localCollectives(3), (each) => agree(each, facts(each)));
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "fulfilled"]);
});

test("the version is that of the package", async () => {
  const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));
  expect(VERSION).toBe(version);
});

describe("a launcher is known by what it sets", () => {
  test.each([
    [{}, undefined],
    [{ SLURM_NTASKS: "4", SLURM_PROCID: "1" }, undefined],
    [
      { OMPI_COMM_WORLD_RANK: "1", OMPI_COMM_WORLD_SIZE: "4", PMIX_RANK: "1" },
      { by: "Open MPI", rank: 1, size: 4 },
    ],
    [
      { PMI_RANK: "0", PMI_SIZE: "2" },
      { by: "MPICH", rank: 0, size: 2 },
    ],
    [
      { PMIX_RANK: "3", SLURM_STEP_NUM_TASKS: "8" },
      { by: "PMIx", rank: 3, size: 8 },
    ],
    [{ PMIX_RANK: "3" }, { by: "PMIx", rank: 3, size: undefined }],
  ])("%o", (environment, launch) => {
    expect(mpiLaunch(environment)).toEqual(launch);
  });
});

test.each([
  [{}, 0],
  [{ OMPI_COMM_WORLD_LOCAL_RANK: "3", OMPI_COMM_WORLD_RANK: "11" }, 3],
  [{ MPI_LOCALRANKID: "1", PMI_RANK: "5" }, 1],
  [{ SLURM_LOCALID: "2" }, 2],
])("of %o a process is the rank of its machine with number %i", (environment, rank) => {
  expect(localRank(environment)).toBe(rank);
});
