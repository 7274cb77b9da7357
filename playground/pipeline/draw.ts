// The picture of a pipeline: kernels from top to bottom, their stages as links, bytes on the arrows.

import type { FlowBytes, FlowKernel } from "../../compiler/cli/explain/flow.ts";
import { formatBytes } from "../../compiler/format-bytes.ts";

/** In the picture's own units, which are about pixels. */
const WIDTH = 404;
const FRAME = { x: 122, width: 270, head: 46, foot: 10 };
const STAGE = { height: 28, gap: 8 };
const ARROW = 52;

/** @param shown is called with the stage whose lines are wanted. */
export function drawPipeline(
  layer: string,
  flow: readonly FlowKernel[],
  shown: (stage: string, kernel: string) => void,
): SVGSVGElement {
  const parts: SVGElement[] = [];
  let y = 4;
  for (const [index, step] of flow.entries()) {
    if (index > 0) parts.push(...handOver(flow[index - 1]!, y, true));
    if (index > 0) y += ARROW;
    const height = frameHeight(step);
    parts.push(frame(step, y, height), ...reads(step, y), ...stages(step, y, shown));
    y += height;
  }
  parts.push(...handOver(flow.at(-1)!, y, false));
  y += ARROW;
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${y}`, class: "pipeline", role: "group" }, ...parts);
  picture.setAttribute("aria-label", `Pipeline of ${layer}: ${flow.length} kernels`);
  return picture as SVGSVGElement;
}

/** Weights first. */
function readsOf({ weights, inputs }: FlowKernel): FlowBytes[] {
  return [...weights, ...inputs];
}

function frameHeight(step: FlowKernel): number {
  const { kernel } = step;
  const ofStages = kernel.stages.length * (STAGE.height + STAGE.gap) - STAGE.gap;
  return (
    FRAME.head +
    Math.max(ofStages, readsOf(step).reduce((sum, read) => sum + heightOf(read), 0) - FRAME.head + 8) +
    FRAME.foot
  );
}

function frame({ kernel, name, rare }: FlowKernel, y: number, height: number): SVGElement {
  const { x, width } = FRAME;
  return svg(
    "g",
    { class: rare ? "kernel rare" : "kernel" },
    svg("rect", { x, y, width, height, rx: 8 }),
    text(x + 12, y + 19, "name", name),
    text(x + 12, y + 36, "faint", rare ? "only for tokens without proof" : grid(kernel)),
  );
}

function grid({ launches, workgroupSize }: FlowKernel["kernel"]): string {
  const workgroups = launches[0]!.workgroups.reduce((product, extent) => product * extent, 1);
  const times = launches.length > 1 ? `${launches.length} launches of ` : "";
  return `${times}${workgroups} × ${workgroupSize} threads`;
}

function stages({ kernel }: FlowKernel, y: number, shown: (stage: string, kernel: string) => void): SVGElement[] {
  return kernel.stages.map((stage, i) => {
    const top = y + FRAME.head + i * (STAGE.height + STAGE.gap);
    const [x, width] = [FRAME.x + 12, FRAME.width - 24];
    const link = svg(
      "a",
      { href: "#sources", class: "stage" },
      svg("rect", { x, y: top, width, height: STAGE.height, rx: 5 }),
      text(x + 12, top + 19, "", stage),
      text(x + width - 12, top + 19, "lines", " lines"),
    );
    link.addEventListener("click", (event) => {
      event.preventDefault();
      shown(stage, kernel.name);
    });
    return link;
  });
}

/** Arrows from the left into a kernel. */
function reads(step: FlowKernel, y: number): SVGElement[] {
  let middle = y + 24;
  return readsOf(step).flatMap((read) => {
    const { what, bytes, of } = read;
    const [x, at] = [94, middle];
    middle += heightOf(read);
    return [
      arrow(`M${x + 5} ${at}H${FRAME.x - 2}`, FRAME.x, at, "right"),
      text(x, at - 4, "what", what),
      text(x, at + 12, "bytes", of === undefined ? formatBytes(bytes) : `≈ ${formatBytes(bytes)}`),
      ...(of === undefined ? [] : [text(x, at + 27, "whole", `of ${formatBytes(of)}`)]),
    ];
  });
}

function heightOf({ of }: FlowBytes): number {
  return of === undefined ? 40 : 56;
}

/** The arrow from a kernel to the next, or to the result. */
function handOver({ writes, note }: FlowKernel, y: number, between: boolean): SVGElement[] {
  const x = FRAME.x + 24;
  return [
    arrow(`M${x} ${y}V${y + ARROW - 8}`, x, y + ARROW - (between ? 0 : 6), "down"),
    text(
      x + 14,
      y + (note ? 21 : 30),
      between ? "written" : "written result",
      `${writes.what} · ${formatBytes(writes.bytes)}`,
    ),
    ...(note ? [text(x + 14, y + 38, "faint", note)] : []),
  ];
}

function arrow(path: string, x: number, y: number, way: "right" | "down"): SVGElement {
  const tip = way === "right" ? `M${x} ${y}l-9 -5v10z` : `M${x} ${y}l-5 -9h10z`;
  return svg(
    "g",
    { class: `arrow ${way}` },
    svg("path", { d: path, class: "shaft" }),
    svg("path", { d: tip, class: "tip" }),
  );
}

function text(x: number, y: number, look: string, content: string): SVGElement {
  const made = svg("text", { x, y, class: look });
  made.textContent = content;
  return made;
}

function svg(name: string, attributes: Readonly<Record<string, string | number>>, ...children: Node[]): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}
