// Processes and participants that do not fit together. test/mpi/faults.test.ts has the same on real ranks.

import { afterEach, describe, expect, test, vi } from "vitest";
import { agree, type Facts } from "../../../runtime/collective/agree.ts";
import type { Collective } from "../../../runtime/collective/collective.ts";
import { localCollectives } from "../../../runtime/collective/local.ts";
import { openMpi } from "../../../runtime/collective/mpi.ts";
import { failureOf } from "./failure.ts";

/** What every participant is told. */
const failures = (group: readonly Collective[], work: (each: Collective) => Promise<unknown>) =>
  Promise.all(group.map(async (each) => (await failureOf(() => work(each))).diagnostics));

const gather = (each: Collective, bytes = 8) => each.allGather(new Uint8Array(bytes), "gathering candidates of head");

describe("HIRE-RUN-014: the processes cannot be connected", () => {
  afterEach(() => vi.unstubAllEnvs());

  test("no library", async () => {
    vi.stubEnv("HIREC_LIBMPI", "/none/libmpi.so");
    const { code, diagnostics } = await failureOf(() => openMpi());
    expect(code).toBe("HIRE-RUN-014");
    expect(diagnostics[0]!.message).toMatch(/^No MPI library can be loaded; \/none\/libmpi\.so: ./);
    expect(diagnostics[0]!.fix).toContain("HIREC_LIBMPI");
  });

  test.runIf(process.platform === "linux")("a library that is no MPI", async () => {
    vi.stubEnv("HIREC_LIBMPI", "libc.so.6");
    const { code, diagnostics } = await failureOf(() => openMpi());
    expect(code).toBe("HIRE-RUN-014");
    expect(diagnostics[0]!.message).toContain("libc.so.6: Cannot find function");
  });

  test.each(["0", "-1", "soon"])("a deadline of %s", async (text) => {
    vi.stubEnv("HIREC_COLLECTIVE_DEADLINE", text);
    const { code, diagnostics } = await failureOf(() => openMpi());
    expect(code).toBe("HIRE-RUN-014");
    expect(diagnostics[0]!.message).toBe(
      `HIREC_COLLECTIVE_DEADLINE is "${text}", which is no number of seconds above 0`,
    );
  });
});

describe("HIRE-RUN-015: a participant does not come", () => {
  test("within the deadline: the others are told who, and a later call of any fails as well", async () => {
    const group = localCollectives(3, { deadline: 0.05 });
    const begun = performance.now();
    const [first] = await failures([group[0]!, group[2]!], gather);
    expect(first![0]).toMatchObject({
      code: "HIRE-RUN-015",
      message:
        "Rank 1 has not come to gathering candidates of head (exchange 0, allGather of 8 bytes); rank 0 waited 0.05 s",
    });
    expect(performance.now() - begun).toBeLessThan(1000);
    for (const [later] of await failures(group, gather)) expect(later).toBe(first![0]);
  });

  test("and two do not come", async () => {
    const [told] = await failures([localCollectives(4, { deadline: 0.05 })[1]!], (each) => each.barrier("meeting"));
    expect(told![0]!.message).toBe(
      "Rank 0 has not come to meeting (exchange 0, barrier); no word of ranks 2, 3 either; rank 1 waited 0.05 s",
    );
  });

  test("because it has closed, which is told at once", async () => {
    const group = localCollectives(3);
    const closing = group[1]!.close();
    for (const [told] of await failures([group[0]!, group[2]!], gather)) {
      expect(told).toMatchObject({
        code: "HIRE-RUN-015",
        message: "Rank 1 has closed during gathering candidates of head (exchange 0, allGather of 8 bytes)",
        fix: "Look at what rank 1 printed last",
      });
    }
    await closing;
  });
});

describe("HIRE-RUN-016: participants do not run the same", () => {
  const facts = { version: "1.2.3", plan: "a".repeat(64), pack: "c".repeat(64), shards: 3 };

  /** What all are told when some have other facts. */
  async function told(changed: Readonly<Record<number, Partial<Facts>>>) {
    const answers = await failures(localCollectives(3), (each) =>
      agree(each, { ...facts, shard: each.rank, ...changed[each.rank] }),
    );
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
    expect(answers[0]!.map(({ code }) => code)).toEqual(answers[0]!.map(() => "HIRE-RUN-016"));
    return answers[0]!.map(({ message }) => message);
  }

  test("another version", async () => {
    expect(await told({ 2: { version: "1.2.4" } })).toEqual(["Rank 2 has hirec 1.2.4, and rank 0 has hirec 1.2.3"]);
  });

  test("another plan of rank 0, whom the others outnumber", async () => {
    expect(await told({ 0: { plan: "b".repeat(64) } })).toEqual([
      "Rank 0 has plan bbbbbbbbbbbb, and rank 1 has plan aaaaaaaaaaaa",
    ]);
  });

  test("other packs, and one diagnostic for each fact", async () => {
    expect(await told({ 1: { pack: "d".repeat(64), version: "2.0.0" }, 2: { pack: "e".repeat(64) } })).toEqual([
      "Rank 1 has hirec 2.0.0, and rank 0 has hirec 1.2.3",
      "Ranks 1, 2 have pack dddddddddddd and pack eeeeeeeeeeee, and rank 0 has pack cccccccccccc",
    ]);
  });

  test("another number of shards than ranks, of one rank and of all", async () => {
    expect(await told({ 1: { shards: 4 } })).toEqual([
      "Rank 1 has a plan of 4 shards, and rank 0 has a plan of 3 shards",
    ]);
    const four = { shards: 4 };
    expect(await told({ 0: four, 1: four, 2: four })).toEqual(["The plan has 4 shards, and there are 3 ranks"]);
  });

  test("the shard of another", async () => {
    expect(await told({ 1: { shard: 2 }, 2: { shard: 1 } })).toEqual(["Rank 1 has shard 2", "Rank 2 has shard 1"]);
  });
});

describe("HIRE-RUN-017: participants do not make the same call", () => {
  test("another number of bytes, which is told at once and before the last one comes", async () => {
    const begun = performance.now();
    const group = localCollectives(3);
    const [first, second] = await failures(group.slice(0, 2), (each) => gather(each, each.rank === 1 ? 16 : 8));
    const mine = (bytes: number) => `gathering candidates of head (exchange 0, allGather of ${bytes} bytes)`;
    expect(first![0]).toMatchObject({
      code: "HIRE-RUN-017",
      message: `Rank 1 is ${mine(16)}, and rank 0 is ${mine(8)}`,
    });
    expect(performance.now() - begun).toBeLessThan(1000);
    expect(second![0]).toMatchObject({ message: `Rank 0 is ${mine(8)}, and rank 1 is ${mine(16)}` });
  });
});
