// The results as plots: SVG, which follows the reader's choice of a light or a dark page.

import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import { NETWORKS } from "./networks.ts";
import { KS, MAIN, type Results } from "./study.ts";

/** What a colour of the light page is on a dark one. The style of docs/images/pipeline.svg. */
const DARK = {
  "#ffffff": "#0d1117",
  "#1b2430": "#e6edf3",
  "#5b6776": "#9aa7b5",
  "#dfe4ea": "#2a323c",
  "#3b6fd4": "#6f9bf0",
  "#c26a1b": "#e29a55",
  "#2b8a5a": "#5fc48d",
  "#8a4fc7": "#b794f0",
};
const [PAGE, TEXT, DIM, GRID, BLUE, ORANGE, GREEN, PURPLE] = Object.keys(DARK) as [
  ...[string, string, string, string, string, string, string, string],
];

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
      header: { title: null, labelFontSize: 13, labelColor: TEXT, labelFontWeight: "bold" },
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

/** Lines with their names, above the plot. */
const KEY = { orient: "top", title: null, symbolType: "stroke", symbolSize: 600 } as const;

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

async function render(spec: TopLevelSpec): Promise<string> {
  const text = {
    labelColor: DIM,
    titleColor: DIM,
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: "normal",
  } as const;
  const { spec: compiled } = compile({
    ...spec,
    background: PAGE,
    padding: 16,
    config: {
      font: "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif",
      title: { color: TEXT, fontSize: 15, anchor: "start", offset: 14 },
      axis: { ...text, gridColor: GRID, domainColor: DIM, tickColor: DIM },
      legend: { ...text, labelColor: TEXT, labelLimit: 0 },
      view: { stroke: GRID },
      // A name for each point would be most of the file; the whole has one.
      aria: false,
    },
  });
  const svg = await new View(parse(compiled), { renderer: "none" }).toSVG();
  const rules = Object.entries(DARK).map(
    ([light, dark]) => `[fill="${light}"] { fill: ${dark} } [stroke="${light}"] { stroke: ${dark} }`,
  );
  const style = `<style>@media (prefers-color-scheme: dark) { ${rules.join(" ")} }</style>`;
  const name = `role="img" aria-label="${spec.description}"`;
  return `${svg.replace(/<svg([^>]*)>/, (_, attributes) => `<svg ${name}${attributes}>${style}`)}\n`;
}
