// Results as bars: how many times as fast as torch each contender is, and where the time of decoding goes.

import type { TopLevelSpec } from "vega-lite";
import { BLUE, DIM, GREEN, ORANGE, render, TEXT } from "../plot.ts";
import { distinct, isTimed, type Results, type TimedRow } from "./results.ts";

/** SVG by the names of files; none where nothing was timed. */
export async function plots(results: Results): Promise<Map<string, string>> {
  const rows = results.rows.filter(isTimed);
  const found = new Map<string, string>();
  if (results.kind === "decode") {
    if (rows.length > 0) found.set("decode.svg", await render(decodePlot(rows)));
    return found;
  }
  for (const [kind, name] of [
    ["head", "heads.svg"],
    ["ffn", "feed-forwards.svg"],
  ] as const) {
    const titles = new Map(
      results.shapes.filter((shape) => shape.kind === kind).map(({ name, title }) => [name, title]),
    );
    const own = rows.filter(({ shape, ratio }) => titles.has(shape) && ratio !== undefined);
    if (own.length > 0) found.set(name, await render(ratioPlot(own, titles)));
  }
  return found;
}

const LABELS = { labelFontSize: 12, labelColor: TEXT } as const;

function ratioPlot(rows: readonly TimedRow[], titles: ReadonlyMap<string, string>): TopLevelSpec {
  const values = rows.map(({ shape, batch, contender, ratio }) => ({
    ...{ title: titles.get(shape)!, batch: `batch ${batch}`, contender, ratio, text: ratio!.toFixed(2) },
    color: contender.startsWith("hirec") ? BLUE : DIM,
  }));
  const sorted = (field: "title" | "batch" | "contender") => distinct(values.map((value) => value[field]));
  // Room for the number behind the longest bar.
  const domain = [0, 1.2 * Math.max(...rows.map(({ ratio }) => ratio!))];
  const x = {
    field: "ratio",
    type: "quantitative",
    scale: { domain },
    title: "times as fast as torch in bf16",
  } as const;
  const y = { field: "contender", type: "nominal", sort: sorted("contender"), title: null } as const;
  return {
    description: "Bars: how many times as fast as torch in bf16 under a graph each contender is, by shape and batch.",
    data: { values },
    facet: {
      row: {
        field: "title",
        type: "nominal",
        sort: sorted("title"),
        header: { ...LABELS, title: null, labelAngle: 0, labelAlign: "left" },
      },
      column: { field: "batch", type: "nominal", sort: sorted("batch"), header: { ...LABELS, title: null } },
    },
    spec: {
      ...{ width: 190, height: { step: 15 } },
      layer: [
        { mark: { type: "bar" }, encoding: { x, y, color: { field: "color", type: "nominal", scale: null } } },
        { mark: { type: "text", align: "left", dx: 4, color: TEXT }, encoding: { x, y, text: { field: "text" } } },
        { mark: { type: "rule", color: TEXT }, encoding: { x: { datum: 1 } } },
      ],
    },
  };
}

const PARTS = ["attention", "mlp", "head"];

function decodePlot(rows: readonly TimedRow[]): TopLevelSpec {
  const values = rows.flatMap(({ batch, contender, parts }) =>
    Object.entries(parts!).map(([part, us]) => ({
      ...{ name: `${contender}, batch ${batch}`, part, us, order: PARTS.indexOf(part) },
    })),
  );
  return {
    description: "Stacked bars: where the time of a decoding step goes, attention, feed-forwards and head.",
    ...{ width: 620, height: { step: 26 }, data: { values } },
    mark: { type: "bar" },
    encoding: {
      x: { field: "us", type: "quantitative", title: "µs per step" },
      y: { field: "name", type: "nominal", sort: distinct(values.map(({ name }) => name)), title: null },
      order: { field: "order", type: "quantitative" },
      color: {
        ...{ field: "part", type: "nominal", scale: { domain: PARTS, range: [ORANGE, BLUE, GREEN] } },
        legend: { orient: "top", title: null },
      },
    },
  };
}
