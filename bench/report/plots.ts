// Results as bars: how many times as fast as torch each contender is, and where the time of decoding goes.

import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { distinct, isTimed, type Results, type TimedRow } from "./results.ts";

const OURS = "#2a6fdb";
const THEIRS = "#b0b7c3";

const ROW = 15;

/** SVG by the names of files; none where nothing was timed. */
export function plots(results: Results): Map<string, string> {
  const rows = results.rows.filter(isTimed);
  const found = new Map<string, string>();
  if (results.kind === "decode") {
    if (rows.length > 0) found.set("decode.svg", decodePlot(rows));
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
    if (own.length > 0) found.set(name, ratioPlot(own, titles));
  }
  return found;
}

function ratioPlot(rows: readonly TimedRow[], titles: ReadonlyMap<string, string>): string {
  const contenders = distinct(rows.map(({ contender }) => contender));
  const shapes = distinct(rows.map(({ shape }) => titles.get(shape)!));
  const data = rows.map((row) => ({ ...row, title: titles.get(row.shape)!, batch: `batch ${row.batch}` }));
  return svg({
    width: 960,
    height: shapes.length * (contenders.length * ROW + 30) + 90,
    marginLeft: 140,
    marginTop: 50,
    // Room for the number behind the longest bar.
    x: {
      domain: [0, 1.2 * Math.max(...rows.map(({ ratio }) => ratio!))],
      label: "times as fast as torch in bf16, under a graph",
      grid: true,
    },
    y: { label: null, domain: contenders },
    fx: { label: null, domain: distinct(data.map(({ batch }) => batch)) },
    fy: { label: null, domain: shapes, axis: null },
    marks: [
      Plot.barX(data, { x: "ratio", y: "contender", fx: "batch", fy: "title", fill: color }),
      Plot.text(data, {
        ...{ x: "ratio", y: "contender", fx: "batch", fy: "title", dx: 4, textAnchor: "start" as const },
        text: ({ ratio }: TimedRow) => ratio!.toFixed(2),
      }),
      // Above the first contender of each shape.
      Plot.text(shapes, {
        ...{ fy: (title: string) => title, text: (title: string) => title, fontWeight: "bold" },
        ...{ frameAnchor: "top-left" as const, fx: () => data[0]!.batch, dy: -12 },
      }),
      // Above those titles.
      Plot.axisFx({ anchor: "top", dy: -16 }),
      Plot.ruleX([1]),
    ],
  });
}

function decodePlot(rows: readonly TimedRow[]): string {
  const data = rows.flatMap(({ batch, contender, parts }) =>
    Object.entries(parts!).map(([part, us]) => ({ name: `${contender}, batch ${batch}`, part, us })),
  );
  const shade = { attention: THEIRS, mlp: OURS, head: "#8fb4f0" };
  return svg({
    width: 960,
    height: rows.length * 26 + 60,
    marginLeft: 160,
    x: { label: "µs per step", grid: true },
    y: { label: null, domain: distinct(data.map(({ name }) => name)) },
    marks: [
      Plot.barX(data, {
        ...{ x: "us", y: "name", order: ["attention", "mlp", "head"], z: "part" },
        fill: ({ part }: { part: keyof typeof shade }) => shade[part],
      }),
      Plot.text(
        data,
        Plot.stackX({ x: "us", y: "name", z: "part", order: ["attention", "mlp", "head"], text: "part" }),
      ),
      Plot.ruleX([0]),
    ],
  });
}

function color({ contender }: TimedRow): string {
  return contender.startsWith("hirec") ? OURS : THEIRS;
}

function svg(options: Plot.PlotOptions): string {
  const { document } = parseHTML("<html></html>");
  const figure = Plot.plot({ ...options, document, style: { background: "white", color: "black" } });
  figure.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return `${figure.outerHTML}\n`;
}
