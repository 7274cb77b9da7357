// The study of shards in a short form, and that what docs/scaling.md shows is what the committed results say.

import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { doubling, mergingTree, ring, ringAllReduce, totalBytes } from "../../bench/scaling/exchange.ts";
import { callTime, NETWORKS } from "../../bench/scaling/networks.ts";
import { plots } from "../../bench/scaling/plots.ts";
import { type Results, scalingStudy } from "../../bench/scaling/study.ts";
import { withTables } from "../../bench/scaling/tables.ts";

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), "utf8");
const committed: Results = JSON.parse(await read("bench/results/shard-scaling.json"));

describe("a study of few shards and tokens", () => {
  const TRIALS = 500;
  const POSITIONS = 128;
  let results: Results;
  beforeAll(async () => {
    results = await scalingStudy({ shards: [1, 2, 8], trials: TRIALS, positions: POSITIONS });
  });

  test("says of the same shards what the committed results say", () => {
    for (const head of results.heads) {
      const same = committed.heads.find(
        (each) => `${[each.rows, each.k, each.shards]}` === `${[head.rows, head.k, head.shards]}`,
      );
      const round = (_: string, value: unknown) => (typeof value === "number" ? Number(value.toPrecision(6)) : value);
      expect(JSON.parse(JSON.stringify(head, round))).toEqual(same);
    }
  });

  test("finds a hundred times fewer bytes than all logits have, for 256000 rows and k = 64 on 8 shards", () => {
    const { bytes } = results.heads.find(({ rows, k, shards }) => rows === 256_000 && k === 64 && shards === 8)!;
    expect(bytes.f32 / bytes.flat).toBeGreaterThan(100);
    expect(bytes.bf16 / bytes.flat).toBeGreaterThan(100);
  });

  test("has one shard exchange nothing", () => {
    for (const { bytes, times } of results.heads.filter(({ shards }) => shards === 1)) {
      expect(Object.values(bytes)).toEqual([0, 0, 0, 0]);
      expect(
        Object.values(times)
          .flatMap((each) => Object.values(each))
          .every((time) => time === 0),
      ).toBe(true);
    }
  });

  test("predicts what random rows do, and more than interleaved rows of a sorted vocabulary do", () => {
    for (const { resends, recall } of results.placements) {
      const error = Math.sqrt((resends.predicted * (1 - resends.predicted)) / TRIALS);
      expect(Math.abs(resends.uniform - resends.predicted)).toBeLessThan(4 * error);
      expect(resends.interleaved).toBeLessThan(resends.predicted + 4 * error);
      expect(resends.contiguous).toBeGreaterThan(0.9);
      expect(Math.abs(recall.uniform - recall.predicted)).toBeLessThan(0.01);
      expect(recall.contiguous).toBeLessThan(recall.interleaved);
    }
  });

  test("finds tiny-lm's best rows spread by interleaving, and on one shard in ranges", () => {
    for (const { resends, recall } of results.tinyLm.filter(({ layer }) => layer === "head")) {
      const error = Math.sqrt((resends.predicted * (1 - resends.predicted)) / POSITIONS);
      expect(resends.interleaved).toBeLessThan(resends.predicted + 4 * error);
      expect(recall.interleaved).toBeGreaterThan(recall.predicted - 0.01);
      expect(resends.contiguous).toBeGreaterThan(0.9);
    }
  });

  test("predicts the recall of feed-forwards", () => {
    for (const { predicted, simulated } of results.ffns.flatMap(({ recall }) => recall)) {
      expect(Math.abs(predicted - simulated)).toBeLessThan(0.02);
    }
  });
});

describe("exchanges", () => {
  test.each([2, 3, 5, 8, 1024])(
    "of %i shards bring each shard what all others have, or less where a tree merges",
    (shards) => {
      expect(totalBytes(ring(shards, 10))).toBe((shards - 1) * 10);
      expect(totalBytes(doubling(shards, 10))).toBe((shards - 1) * 10);
      expect(doubling(shards, 10)).toHaveLength(Math.ceil(Math.log2(shards)));
      expect(totalBytes(ringAllReduce(shards, 10))).toBeCloseTo((2 * (shards - 1) * 10) / shards, 9);
      const tree = mergingTree(shards, 10, 25);
      expect(Math.max(...tree)).toBeLessThanOrEqual(25);
      expect(tree).toHaveLength(Math.ceil(Math.log2(shards)));
    },
  );

  test("of few bytes take a protocol of low latency, those of many one of high bandwidth", () => {
    const nvlink = NETWORKS[0]!;
    const [quick, wide] = nvlink.protocols;
    expect(callTime(nvlink, [8])).toBeCloseTo(quick!.call + quick!.step, 3);
    expect(callTime(nvlink, [1e9])).toBeCloseTo(wide!.call + wide!.step + 1e9 / wide!.bandwidth, 3);
  });
});

describe("docs/scaling.md", () => {
  test("has the tables of the committed results", async () => {
    const document = await read("docs/scaling.md");
    expect(withTables(document, committed)).toBe(document);
  });

  test("shows the plots of the committed results", async () => {
    for (const [name, svg] of Object.entries(await plots(committed))) {
      expect(svg, name).toBe(await read(`docs/images/${name}`));
    }
  });
});
