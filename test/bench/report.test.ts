// The page and the plots that are made of results; those here are of nothing that ever ran.

import { expect, test } from "vitest";
import { page } from "../../bench/report/page.ts";
import { plots } from "../../bench/report/plots.ts";
import type { Results, TimedRow } from "../../bench/report/results.ts";

const row: TimedRow = {
  ...{
    shape: "small",
    batch: 1,
    contender: "torch",
    us: 30,
    usLow: 29,
    usHigh: 31,
    ofFloor: 0.5,
    bytes: 2e6,
    launches: 2,
  },
  ...{ ratio: 1, recall: 1, kernels: [] },
};
const kernels = [
  { name: "score|select", us: 7, launches: 1, details: { grid: [64, 1, 1], "registers per thread": 90 } },
];
const ours: TimedRow = { ...row, contender: "hirec int4", us: 10, ratio: 3, recall: 0.9987, kernels };

const layers: Results = {
  ...{ format: 1, kind: "layers", dryRun: true, date: "2000-01-01T00:00:00+00:00", commit: "abc", command: "bench.py" },
  machine: { gpu: "a made-up card", torch: "2.11.0", triton: null },
  bandwidth: { read: 4e12, reader: "stream_read", copy: 3e12, readers: {} },
  shapes: [{ name: "small", kind: "head", title: "a small head" }],
  rows: [
    row,
    ours,
    { ...ours, batch: 4, isDensePath: true },
    { shape: "small", batch: 1, contender: "other", skipped: "a|b" },
  ],
  bars: [
    { bar: "fast", wanted: 2, reached: 3, passed: true },
    { bar: "faster", wanted: 4, reached: 3, passed: false },
  ],
  notReached: [{ shape: "small", batch: 8 }],
};

test("a page says of a dry run that it is one", () => {
  expect(page([layers], [""])).toContain("numbers mean nothing");
  expect(page([{ ...layers, dryRun: false }], [""])).not.toContain("dry run");
});

test("a page has what was reached and missed, a table per shape, kernels, and what was not timed", () => {
  const text = page([layers], ["![plot](images/plot.svg)"]);
  for (const line of [
    "2000-01-01, commit abc, torch 2.11.0. The card reads 4000 GB/s (stream_read) and copies 3000 GB/s",
    "| fast | 2 | 3.00 |",
    "| faster | 4 | **missed: 3.00** |",
    "### a small head",
    "|  | batch 1 | batch 4 | recall | MB | of the floor | launches |",
    "| torch | 30.0 µs, 1.00× |  | 100.00 % | 2.0 | 50 % | 2 |",
    "| hirec int4 | 10.0 µs, 3.00× | 10.0 µs, 3.00× (dense path) | 99.87 % | 2.0 | 50 % | 2 |",
    "| hirec int4 | `score\\|select` | 7.0 µs | 1 | 90 | 64 |",
    "- other: a\\|b",
    "Not reached in time: small at batch 8.",
  ]) {
    expect(text).toContain(line);
  }
});

test("plots are SVG that stands alone, and there is none of what was not timed", async () => {
  const drawn = await plots(layers);
  expect([...drawn.keys()]).toEqual(["heads.svg"]);
  const text = drawn.get("heads.svg")!;
  expect(text).toMatch(/^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/);
  for (const word of ["a small head", "hirec int4", "batch 4", "3.00"]) expect(text).toContain(`>${word}<`);
  expect((await plots({ ...layers, rows: [] })).size).toBe(0);
});

test("decoding is drawn by its parts", async () => {
  const parts = { attention: 5, mlp: 4, head: 1 };
  const rows = [{ ...row, shape: "decode", tokensPerSecond: 1e5, parts }];
  const shapes = [{ name: "decode", kind: "decode", title: "decode" }] as const;
  const decode: Results = { ...layers, kind: "decode", shapes, rows };
  expect((await plots(decode)).get("decode.svg")).toContain(">attention<");
  expect(page([decode], [""])).toContain("| 1 | torch | 30.0 µs | 100000 | 1.00× | 50 % | 2 | 17 % | 13 % | 3 % |");
});
