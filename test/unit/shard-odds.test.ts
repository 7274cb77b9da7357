// The closed forms of shards against exchanges that are played out, and against independently simulated values.

import { describe, expect, test } from "vitest";
import { type Buckets, expectedRecall, smallestKeep } from "../../compiler/recall.ts";
import { resendOdds, smallestSent } from "../../compiler/shard-odds.ts";
import { mulberry32, type Random } from "../cases/random.ts";

describe("odds of a second round are those of every placement of the best rows, counted one by one", () => {
  test.each([
    [8, 3, 4],
    [9, 3, 5],
    [10, 4, 10],
    [11, 2, 3],
    [6, 6, 3],
    // More shards than rows: some are empty.
    [5, 9, 3],
    [12, 1, 4],
    [1, 1, 1],
  ])("%i rows on %i shards, k = %i", (rows, count, k) => {
    for (let sent = 1; sent <= rows + 1; sent++) {
      let [placements, resending] = [0, 0];
      for (let bits = 0; bits < 2 ** rows; bits++) {
        const best = Array.from({ length: rows }, (_, row) => row).filter((row) => (bits >> row) % 2 === 1);
        if (best.length !== k) continue;
        placements++;
        resending += Number(hasToResend({ rows, count }, best, sent));
      }
      expect(resendOdds({ rows, count }, k, sent)).toBeCloseTo(resending / placements, 12);
    }
  });
});

describe("odds of a second round are the share of random placements that need one", () => {
  test.each([
    [1000, 16, 20, 4],
    // Shards of two sizes, of which only the larger have anything left to send.
    [1003, 250, 300, 4],
    [130, 3, 24, 12],
    [64, 8, 40, 7],
    [16_384, 16, 819, 70],
    [256_000, 8, 64, 14],
    [100_000, 1024, 256, 3],
  ])("%i rows on %i shards, k = %i, %i sent", (rows, count, k, sent) => {
    const shards = { rows, count };
    const random = mulberry32(rows + sent);
    const trials = 4000;
    let resending = 0;
    for (let trial = 0; trial < trials; trial++) {
      resending += Number(hasToResend(shards, randomRows(random, rows, k), sent));
    }
    const odds = resendOdds(shards, k, sent);
    // Neither certain nor impossible, or there would be nothing to compare.
    expect(odds).toBeGreaterThan(0.01);
    expect(odds).toBeLessThan(0.99);
    expect(Math.abs(odds - resending / trials)).toBeLessThan(4 * Math.sqrt((odds * (1 - odds)) / trials));
  });
});

// Simulated independently, to two digits, for m = ceil(slack · k / shards). There a shard also tells the best value that
// it did not send, and sends again if it owns more than m of the best, which is m + 1 or more.
test.each([
  [2048, 102, 4, 1.5, 0.004],
  [2048, 102, 16, 2, 0.055],
  [2048, 102, 16, 2.5, 0.002],
  [16_384, 819, 16, 1.5, 0.0016],
  [262_144, 128, 4, 1.5, 0.002],
  [262_144, 128, 16, 2, 0.044],
  [262_144, 64, 4, 1.5, 0.036],
  [262_144, 64, 8, 2, 0.016],
  [262_144, 64, 16, 2, 0.26],
  [262_144, 64, 16, 2.5, 0.031],
  [262_144, 64, 16, 3, 0.003],
  [262_144, 32, 4, 1.5, 0.15],
  [262_144, 32, 8, 2, 0.11],
  [262_144, 32, 8, 2.5, 0.01],
  [262_144, 32, 16, 2, 0.59],
  [262_144, 32, 16, 2.5, 0.2],
  [262_144, 32, 16, 3, 0.046],
])("%i rows, k = %i, %i shards, slack %d: the simulated odds", (rows, k, count, slack, simulated) => {
  const odds = resendOdds({ rows, count }, k, Math.ceil((slack * k) / count) + 1);
  expect(Math.abs(odds - simulated)).toBeLessThan(0.001 + 0.1 * simulated);
});

describe.each([
  { rows: 2048, count: 16, k: 102 },
  { rows: 1000, count: 7, k: 1000 },
  { rows: 1000, count: 300, k: 64 },
  { rows: 256_000, count: 1024, k: 300 },
  { rows: 16_384, count: 16, k: 819 },
  { rows: 2 ** 24, count: 2, k: 256 },
])("$rows rows on $count shards, k = $k", ({ rows, count, k }) => {
  const shards = { rows, count };
  const most = Math.min(k, Math.ceil(rows / count));

  test("odds fall with what is sent, from nearly 1 to exactly 0", () => {
    let before = 1 + 1e-12;
    for (let sent = 1; sent <= most; sent += Math.ceil(most / 40)) {
      const odds = resendOdds(shards, k, sent);
      expect(odds).toBeLessThanOrEqual(before);
      before = odds;
    }
    expect(resendOdds(shards, k, 1)).toBeGreaterThan(0.99);
    expect(resendOdds(shards, k, most)).toBe(0);
    expect(resendOdds(shards, k, most + 1)).toBe(0);
  });

  test.each([0.5, 0.01, 1e-6, 1e-12, 0])(
    "the smallest number for odds of at most %d meets them, and no smaller does",
    (target) => {
      const sent = smallestSent(shards, k, target);
      expect(sent).toBeLessThanOrEqual(most);
      expect(resendOdds(shards, k, sent)).toBeLessThanOrEqual(target);
      if (sent > 1) expect(resendOdds(shards, k, sent - 1)).toBeGreaterThan(target);
    },
  );
});

test("odds too small for a difference from 1 are right", () => {
  // Both of the best on one shard of two: C(2, 1) · C(n / 2, 2) / C(n, 2).
  expect(resendOdds({ rows: 1000, count: 2 }, 2, 2)).toBe(0);
  expect(resendOdds({ rows: 1000, count: 500 }, 3, 2)).toBe(0);
  // All 20 of the best on one shard of 1000: 1000 · C(1000, 20) / C(10^6, 20).
  let logOdds = Math.log(1000);
  for (let i = 0; i < 20; i++) logOdds += Math.log((1000 - i) / (1_000_000 - i));
  // 19 or 20 of 20 have to send again when 19 are sent; 20 times 999,000 / 981 as many have 19 as have 20.
  const expected = Math.exp(logOdds) * (1 + (20 * 999_000) / 981);
  expect(resendOdds({ rows: 1_000_000, count: 1000 }, 20, 19) / expected).toBeCloseTo(1, 9);
});

test("one shard has to send all k, and as many shards as rows one row each", () => {
  expect(smallestSent({ rows: 5000, count: 1 }, 64, 0.01)).toBe(64);
  expect(smallestSent({ rows: 64, count: 64 }, 64, 0.01)).toBe(1);
});

test("a shard is a bucket: the share that survives is that of the two-stage selection", () => {
  // The first digits are of the same simulation as above.
  expect(expectedRecall({ rows: 262_144, count: 8 }, 64, 8)).toBeCloseTo(0.87, 2);
  expect(expectedRecall({ rows: 262_144, count: 8 }, 64, 16)).toBeCloseTo(0.9997, 4);
  const keep = smallestKeep({ rows: 262_144, count: 8 }, 64, 0.99);
  expect(expectedRecall({ rows: 262_144, count: 8 }, 64, keep)).toBeGreaterThanOrEqual(0.99);
  expect(expectedRecall({ rows: 262_144, count: 8 }, 64, keep - 1)).toBeLessThan(0.99);
});

/** Plays the exchange: whether the last row that some shard sends is one of the best, and it has more. */
function hasToResend({ rows, count }: Buckets, best: readonly number[], sent: number): boolean {
  const held = new Uint32Array(count);
  for (const row of best) held[row % count]! += 1;
  const sizeOf = (shard: number) => Math.ceil((rows - shard) / count);
  // Nobody asks for more than k rows of a shard.
  return sent < best.length && held.some((each, shard) => each >= sent && sizeOf(shard) > sent);
}

function randomRows(random: Random, rows: number, k: number): number[] {
  const chosen = new Set<number>();
  while (chosen.size < k) chosen.add(Math.floor(random() * rows));
  return [...chosen];
}
