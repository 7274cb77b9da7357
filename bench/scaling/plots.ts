// The results of the study as plots.

import type { TopLevelSpec } from "vega-lite";
import { BLUE, DIM, GREEN, HEADER, KEY, ORANGE, PURPLE, render } from "../plot.ts";
import { NETWORKS } from "./networks.ts";
import { KS, MAIN, type Results } from "./study.ts";

/** SVG by file name. */
export async function plots(results: Results): Promise<Record<string, string>> {
  return {
    "scaling-bytes.svg": await render(bytesPlot(results)),
    "scaling-times.svg": await render(timesPlot(results)),
    "scaling-placements.svg": await render(placementsPlot(results)),
  };
}

function bytesPlot({ heads }: Results): TopLevelSpec {
  const of = heads.filter(({ rows, shards }) => rows === MAIN.rows && shards > 1);
  const series = [
    // The ends of these three lie close together, and their names must not.
    ...KS.map((k, i) => ({
      ...{ name: `pairs, k = ${k}`, k, bytes: "flat" as const, color: BLUE, dash: [1, 0], dy: 10 - 10 * i },
    })),
    { name: "pairs, k = 64, merging tree", k: 64, bytes: "tree" as const, color: GREEN, dash: [6, 3] },
    { name: "all logits, f32", k: 64, bytes: "f32" as const, color: ORANGE, dash: [1, 0] },
    { name: "all logits, bf16", k: 64, bytes: "bf16" as const, color: ORANGE, dash: [6, 3] },
  ];
  const values = series.flatMap(({ name, k, bytes, ...place }) =>
    of
      .filter((head) => head.k === k)
      .map((head) => ({ series: name, shards: head.shards, bytes: head.bytes[bytes], dy: 0, ...place })),
  );
  return {
    title: `Bytes that a shard receives per token, ${MAIN.rows} rows`,
    description:
      "Bytes against shards: all logits stay near a megabyte, the best pairs take a few hundred bytes to 40 KB.",
    ...{ width: 560, height: 320, data: { values } },
    encoding: {
      x: shardsAxis([...new Set(of.map(({ shards }) => shards))]),
      y: decades("bytes", "bytes", [2, 6]),
      color: colors(series),
    },
    layer: [
      { mark: { type: "line", point: true }, encoding: { strokeDash: dashes(series) } },
      {
        transform: [{ filter: `datum.shards === ${Math.max(...of.map(({ shards }) => shards))}` }],
        mark: { type: "text", align: "left", dx: 8, dy: { expr: "datum.dy" }, fontSize: 12 },
        encoding: { text: { field: "series" } },
      },
    ],
  };
}

function timesPlot({ heads }: Results): TopLevelSpec {
  const of = heads.filter(({ rows, k, shards }) => rows === MAIN.rows && k === MAIN.k && shards > 1);
  const series = [
    { name: "all logits, bf16", time: "logits" as const, color: ORANGE, dash: [6, 3] },
    { name: "pairs, ring", time: "ring" as const, color: PURPLE, dash: [2, 2] },
    { name: "pairs, doubling", time: "doubling" as const, color: BLUE, dash: [1, 0] },
    { name: "pairs, merging tree", time: "tree" as const, color: GREEN, dash: [8, 3] },
  ];
  const values = of.flatMap(({ shards, times }) =>
    NETWORKS.flatMap(({ name: network }) =>
      series.map(({ name, time }) => ({ series: name, network, shards, time: times[network]![time] })),
    ),
  );
  return {
    title: `Modelled time of one token's exchange, ${MAIN.rows} rows, k = ${MAIN.k}`,
    description: "Four networks: a ring's time grows with the shards, doubling's and the tree's with their logarithm.",
    data: { values },
    columns: 2,
    facet: {
      field: "network",
      type: "nominal",
      sort: NETWORKS.map(({ name }) => name),
      header: HEADER,
    },
    spec: {
      ...{ width: 330, height: 190 },
      mark: { type: "line", point: { size: 18 } },
      encoding: {
        x: shardsAxis([2, 8, 32, 128, 512]),
        y: decades("time", "µs", [1, 4]),
        color: { ...colors(series), legend: KEY },
        strokeDash: { ...dashes(series), legend: KEY },
      },
    },
  };
}

function placementsPlot({ curve }: Results): TopLevelSpec {
  const series = [
    { name: "closed form", value: "predicted" as const, color: DIM, dash: [1, 0] },
    { name: "random rows", value: "uniform" as const, color: BLUE, dash: [1, 0] },
    { name: "Zipf, interleaved", value: "interleaved" as const, color: GREEN, dash: [1, 0] },
    { name: "Zipf, contiguous", value: "contiguous" as const, color: ORANGE, dash: [1, 0] },
  ];
  const values = curve.flatMap((point) =>
    series.map(({ name, value }) => ({ series: name, sent: point.sent, odds: point[value] })),
  );
  const isLine = "datum.series === 'closed form'";
  return {
    title: `Odds of a second round, 8 shards, ${MAIN.rows} rows, k = ${MAIN.k}`,
    description:
      "The closed form fits random rows; rows sorted by frequency lie below it interleaved, far above in ranges.",
    ...{ width: 560, height: 280, data: { values } },
    encoding: {
      x: {
        field: "sent",
        type: "quantitative",
        axis: { title: "rows that each shard sends", grid: false },
        scale: { domain: [0, MAIN.k] },
      },
      y: { field: "odds", type: "quantitative", axis: { format: "%", title: null } },
      color: { ...colors(series), legend: { ...KEY, symbolType: "circle", symbolSize: 60 } },
    },
    layer: [
      { transform: [{ filter: isLine }], mark: { type: "line" } },
      { transform: [{ filter: `!(${isLine})` }], mark: { type: "point", filled: true, size: 30, opacity: 1 } },
    ],
  };
}

interface Series {
  readonly name: string;
  readonly color: string;
  readonly dash: readonly number[];
}

function colors(series: readonly Series[]) {
  const scale = { domain: series.map(({ name }) => name), range: series.map(({ color }) => color) };
  return { field: "series", type: "nominal", scale, legend: null } as const;
}

function dashes(series: readonly Series[]) {
  const scale = { domain: series.map(({ name }) => name), range: series.map(({ dash }) => [...dash]) };
  return { field: "series", type: "nominal", scale, legend: null } as const;
}

function shardsAxis(values: number[]) {
  const axis = { values, title: "shards", format: "d", grid: false, labelFlush: false };
  return { field: "shards", type: "quantitative", scale: { type: "log", base: 2 }, axis } as const;
}

/** A logarithmic axis with a line for each power of ten between two. */
function decades(field: string, title: string, [low, high]: readonly [number, number]) {
  const values = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  return { field, type: "quantitative", scale: { type: "log" }, axis: { values, format: "~s", title } } as const;
}
