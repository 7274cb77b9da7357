// The stand-in for torch.distributed tells what a real one tells, of all calls that emitted packages make.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runPython, type Torch, whyNoPython } from "./python.ts";

const RANKS = [0, 1, 2];

async function told(torch: Torch): Promise<unknown[]> {
  const folder = await mkdtemp(join(tmpdir(), "hirec-torch-distributed-"));
  try {
    const store = join(folder, "store");
    const run = (rank: number) => runPython("distributed_check.py", [store, String(rank)], { torch });
    return (await Promise.all(RANKS.map(run))).map((said) => JSON.parse(said));
  } finally {
    await rm(folder, { recursive: true });
  }
}

const why = (await whyNoPython("numpy")) ?? (await whyNoPython("torch.distributed"));

test.skipIf(why)(`the stand-in does as torch${why ? `, skipped: ${why}` : ""}`, { timeout: 180_000 }, async () => {
  const [fake, real] = await Promise.all([told("fake"), told("real")]);
  expect(fake).toEqual(real);
  expect(fake[0]).toMatchObject({ "with a rank that has ended": "RuntimeError" });
  const places = [
    [1, 2],
    [-1, -1],
  ];
  expect(fake[2]).toMatchObject({ initialized: true, places, "first of the group": 0 });
});
