// What goes wrong between ranks of NCCL: each of the others is told within the deadline, and keeps nothing.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { localCollectives } from "../../runtime/collective/local.ts";
import { loadNccl } from "../../runtime/cuda/libnccl.ts";
import { loadCudaShard } from "../../runtime/cuda/load-shard.ts";
import { ncclCollective } from "../../runtime/cuda/nccl.ts";
import type { CudaShardedSoftmax } from "../../runtime/cuda/sharded-softmax.ts";
import { HireError } from "../../runtime/errors.ts";
import { compileSharded, DENSE_HEAD } from "../cases/sharded.ts";
import { CUDA } from "../cuda-host/run.ts";
import { failureOf } from "../unit/diagnostics/failure.ts";
import { type Card, missing, openCard } from "./card.ts";
import { closeRanks, openRanks, type Rank, withLayers } from "./ranks.ts";

/** Seconds; long enough for all that a rank does here. */
const deadline = 0.5;

const compiled = missing
  ? undefined!
  : compileSharded({ ...DENSE_HEAD, layer: { ...DENSE_HEAD.layer, rows: 50, k: 4 } }, { count: 2 }, [CUDA]);

describe.skipIf(missing)(`refusals of NCCL${missing ? `, skipped: ${missing}` : ""}`, () => {
  let card: Card;
  let ranks: readonly Rank[];
  let before: number;
  beforeAll(async () => {
    card = await openCard();
  });
  beforeEach(() => {
    before = card.live();
    ranks = [];
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await closeRanks(ranks);
    expect(card.live(), "what was not freed").toBe(before);
  });
  afterAll(() => card?.device.close());

  const code = (work: () => unknown) => failureOf(work).then(({ diagnostics }) => diagnostics[0]!);

  test("HIRE-RUN-014: no NCCL, and a library that is none", async () => {
    vi.stubEnv("HIREC_LIBNCCL", "/none/libnccl.so.2");
    expect(await code(() => ncclCollective(card.device))).toMatchObject({
      code: "HIRE-RUN-014",
      message: expect.stringMatching(/^NCCL cannot be loaded: \/none\/libnccl\.so\.2: /),
    });
    vi.stubEnv("HIREC_LIBNCCL", process.env.HIREC_LIBNVRTC!);
    expect((await code(() => ncclCollective(card.device))).message).toContain("Cannot find function");
  });

  test("HIRE-RUN-014: a deadline that is no number of seconds", async () => {
    vi.stubEnv("HIREC_COLLECTIVE_DEADLINE", "soon");
    expect(await code(() => ncclCollective(card.device))).toMatchObject({
      code: "HIRE-RUN-014",
      message: 'HIREC_COLLECTIVE_DEADLINE is "soon", which is no number of seconds above 0',
    });
  });

  test("HIRE-RUN-016: another version of NCCL", async () => {
    const nccl = await loadNccl();
    const bootstraps = localCollectives(2);
    const versions = [nccl, { ...nccl, version: "2.20.5" }];
    const failures = await Promise.all(
      bootstraps.map((bootstrap, rank) =>
        code(() => ncclCollective(card.device, bootstrap, { nccl: versions[rank]! })),
      ),
    );
    const message = "Rank 1 has NCCL 2.20.5, and rank 0 has NCCL 2.23.4";
    expect(failures).toMatchObject([0, 1].map(() => ({ code: "HIRE-RUN-016", message })));
  });

  test("HIRE-RUN-021: two ranks on one device", async () => {
    const failures = await Promise.all(
      localCollectives(2).map((bootstrap) => code(() => ncclCollective(card.device, bootstrap))),
    );
    const message =
      "NCCL failed while starting NCCL: invalid usage: Duplicate GPU detected : rank 1 and rank 0 (5) from ncclCommGetAsyncError";
    expect(failures).toMatchObject([0, 1].map(() => ({ code: "HIRE-RUN-021", message })));
  });

  test("HIRE-RUN-015: a rank that does not come to start", async () => {
    const [mine, other] = localCollectives(2);
    const record = new Uint8Array(144);
    new TextEncoder().encodeInto("2.23.4", record);
    const [failure] = await Promise.all([
      code(() => ncclCollective(card.device, mine, { deadline })),
      other!.allGather(record, "").then(() => other!.barrier("")),
    ]);
    expect(failure).toMatchObject({ code: "HIRE-RUN-015", message: "Rank 0 waited 0.5 s during starting NCCL" });
  });

  test("HIRE-RUN-020: other numbers of ranks and shards", async () => {
    ranks = await openRanks(1);
    expect(await code(() => loadCudaShard(ranks[0]!.nccl, compiled, compiled.packs[0]!))).toMatchObject({
      code: "HIRE-RUN-020",
      message: '"case" has 2 shards, but 1 take part (nccl 2.23.4)',
    });
  });

  test("HIRE-RUN-017: another number of tokens", async () => {
    const { x } = compiled.data;
    ranks = await openRanks(2);
    await withLayers<CudaShardedSoftmax>(ranks, compiled, async ([first, second]) => {
      const failures = await Promise.all([
        code(() => first!.run(x)),
        code(() => second!.run(x.subarray(0, 3 * compiled.layer.inputs))),
      ]);
      const message = `Rank 1 is running layer "head" with 3 tokens, and rank 0 with ${DENSE_HEAD.tokens}`;
      expect(failures).toMatchObject([0, 1].map(() => ({ code: "HIRE-RUN-017", message })));
      // Nothing was launched, so that the next run is like any other.
      const results = await Promise.all([first!.run(x), second!.run(x)]);
      expect(results[0]).toEqual(results[1]);
    });
  });

  test("HIRE-RUN-015: a rank that is missing before a run is named by the bootstrap, and no device waits for it", async () => {
    ranks = await openRanks(2);
    const gone = new HireError({ code: "HIRE-RUN-015", message: "Rank 1 has ended", fix: "Look" });
    vi.spyOn(ranks[0]!.bootstrap, "allGather").mockRejectedValueOnce(gone);
    await withLayers<CudaShardedSoftmax>(ranks, compiled, async (layers) => {
      const { x } = compiled.data;
      await expect(layers[0]!.run(x)).rejects.toBe(gone);
      const results = await Promise.all(layers.map((each) => each.run(x)));
      expect(results[0]).toEqual(results[1]);
    });
  });

  describe("HIRE-RUN-015: a rank that hangs in a run", () => {
    const hang = async (barrier: (other: Rank) => Promise<void>, message: string) => {
      ranks = await openRanks(2, { deadline });
      const [mine, other] = ranks as [Rank, Rank];
      await withLayers<CudaShardedSoftmax>(ranks, compiled, async ([layer]) => {
        const { x } = compiled.data;
        const [failure] = await Promise.all([
          code(() => layer!.run(x)),
          other.nccl.together(DENSE_HEAD.tokens, "", () => barrier(other)),
        ]);
        expect(failure).toMatchObject({ code: "HIRE-RUN-015", message });
        // Nothing succeeds any more, and nothing waits either.
        expect((await code(() => layer!.run(x))).message).toBe(message);
        await expect(mine.nccl.finished(mine.device.stream)).rejects.toThrow(message);
        // The other one finds out when it goes on.
        const values = other.device.allocate("f32", 4);
        const late = () => other.nccl.allReduceSum(other.device.stream, values.pointer, 4, "adding up");
        expect(await code(late)).toMatchObject({
          code: "HIRE-RUN-015",
          message:
            "Rank 1 lost another rank during adding up: remote process exited or there was a network error: the connection to rank 0 was closed (6) from ncclAllReduce",
        });
        values.destroy();
      });
    };

    test("and comes too late", async () => {
      await hang(({ bootstrap }) => bootstrap.barrier(""), 'Rank 0 waited 0.5 s during running layer "head"');
    });

    test("and is named by the bootstrap", async () => {
      const message = "Rank 1 runs, but has not come to running layer";
      await hang(async () => {
        const late = new HireError({ code: "HIRE-RUN-015", message, fix: "Look" });
        vi.spyOn(ranks[0]!.bootstrap, "barrier").mockRejectedValue(late);
      }, message);
    });
  });
});
