// Plots as SVG that is part of a page: its colours are the page's variables, so that it follows light, dark and print.

import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import { openSvg } from "./svg.ts";

/** Variables of templates/report/style.hbs. */
export const COLOR = {
  text: "var(--text)",
  dim: "var(--dim)",
  grid: "var(--grid)",
  exact: "var(--blue)",
  estimate: "var(--orange)",
  chosen: "var(--green)",
} as const;

export interface Plot {
  readonly spec: TopLevelSpec;
  /** Said by screen readers, with what a reader sees at a glance. */
  readonly title: string;
  readonly description: string;
}

/** Labels of an axis that counts bytes, as `bytes` writes them. */
export const BYTES_LABEL = "replace(format(datum.value, '~s'), 'k', 'K') + 'B'";

/** @param id unique on the page. A mark with `aria` has its `description` channel as a tooltip. */
export async function draw({ spec, title, description }: Plot, id: string): Promise<string> {
  const text = { labelColor: COLOR.dim, titleColor: COLOR.dim, labelFontSize: 12, titleFontSize: 12 } as const;
  const { spec: compiled } = compile({
    ...spec,
    background: null as unknown as string,
    padding: 4,
    config: {
      axis: { ...text, titleFontWeight: "normal", gridColor: COLOR.grid, domainColor: COLOR.dim, tickColor: COLOR.dim },
      view: { stroke: null },
      mark: { aria: false },
      text: { fontSize: 12, fill: COLOR.text },
    },
  });
  const svg = await new View(parse(compiled), { renderer: "none" }).toSVG();
  const [, width, height] = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg)!;
  const content = compact(svg.replace(/^<svg[^>]*>|<\/svg>$/g, ""));
  return `${openSvg({ id, width: Number(width), height: Number(height), title, description }) + content}</svg>`;
}

/** Tooltips in place of names that a picture's parts cannot have, and nothing that says what is so anyway. */
function compact(svg: string): string {
  return svg
    .replace(/<(\w+) aria-label="([^"]*)" role="graphics-symbol"([^>]*)\/>/g, "<$1$3><title>$2</title></$1>")
    .replace(/<[a-z][^>]*>/g, (tag) =>
      tag
        .replace(/ (role|class|pointer-events|font-family|aria-[a-z]+|stroke-miterlimit)="[^"]*"/g, "")
        .replace(/ opacity="1"/g, "")
        .replace(/^(?!.* stroke=)(.*) stroke-width="\d+"/, "$1")
        .replace(/-?\d+\.\d{2,}/g, (number) => String(Number(Number(number).toFixed(1))))
        .replace(/ d="(M[\d.,L-]+)"/, (_, path: string) => ` d="${steps(path)}"`),
    )
    .replace(
      /<path d="[^"]*"( stroke="[^"]*")? display="none"\/>|<path d="M0(\.5)?,0(\.5)?h[\d.]+v[\d.]+h-?[\d.]+Z"\/>/g,
      "",
    )
    .replace(/<text[^>]* opacity="0"[^>]*>[^<]*<\/text>/g, "")
    .replace(/<g>\s*<\/g>/g, "");
}

/** A path of straight lines, of which most are along an axis, in fewer letters. */
function steps(path: string): string {
  let [lastX, lastY] = ["", ""];
  return path.replace(/([ML])([\d.-]+),([\d.-]+)/g, (whole, command, x: string, y: string) => {
    const [sameX, sameY] = [x === lastX, y === lastY];
    [lastX, lastY] = [x, y];
    if (command === "M" || (!sameX && !sameY)) return whole;
    return sameX && sameY ? "" : sameY ? `H${x}` : `V${y}`;
  });
}
