// Plots as SVG, which follows the reader's choice of a light or a dark page.

import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";

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
export const [PAGE, TEXT, DIM, GRID, BLUE, ORANGE, GREEN, PURPLE] = Object.keys(DARK) as [
  ...[string, string, string, string, string, string, string, string],
];

/** A legend of lines with their names, above the plot. */
export const KEY = { orient: "top", title: null, symbolType: "stroke", symbolSize: 600 } as const;

/** The name above each of several plots. */
export const HEADER = { title: null, labelFontSize: 13, labelColor: TEXT, labelFontWeight: "bold" } as const;

/** @param spec with a description, which is what screen readers say of the plot. */
export async function render(spec: TopLevelSpec): Promise<string> {
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
