// The flow of a launch as a picture: kernels from top to bottom, and arrows as wide as the bytes that they carry.

import type { FlowBytes, FlowStep } from "../cli/explain/flow.ts";
import { escaped } from "./escape.ts";
import { openSvg } from "./svg.ts";
import { bytes } from "./words.ts";

const [WIDTH, LEFT, BOX] = [424, 160, 256] as const;

/** Of a box, at least. */
const BOX_HEIGHT = 78;

/** Room for what is written above and below an arrow that comes from the left. */
const [ABOVE, BELOW] = [22, 20] as const;

/** Below a box: between two, or to the result. */
const GAP = 56;

/** Width of an arrow that carries as many bytes as the dense layer reads. */
const WIDEST = 40;

export interface DiagramInput {
  readonly id: string;
  readonly title: string;
  readonly flow: readonly FlowStep[];
  /** What arrows are measured by. */
  readonly denseBytes: number;
}

export function diagram({ id, title, flow, denseBytes }: DiagramInput): string {
  const width = ({ bytes: count }: FlowBytes) => Math.max(1.5, (WIDEST * count) / denseBytes);
  const parts: string[] = [];
  let y = 1;
  for (const step of flow) {
    const reads = readsOf(step).map((amount) => ({ ...amount, width: step.rare ? 1.5 : width(amount) }));
    const needed = reads.reduce((sum, each) => sum + ABOVE + each.width + BELOW, 0);
    const height = Math.max(BOX_HEIGHT, needed);
    let top = y + (height - needed) / 2;
    for (const each of reads) {
      parts.push(...read(each, top + ABOVE + each.width / 2, each.width));
      top += ABOVE + each.width + BELOW;
    }
    parts.push(...box(step, y, height), ...handOver(step, y + height, width(step.writes)));
    y += height + GAP;
  }
  const description = flow.map(describe).join("; ");
  return `${openSvg({ id, width: WIDTH, height: y, title, description })}${parts.join("")}</svg>`;
}

function readsOf({ weights, inputs }: FlowStep): FlowBytes[] {
  return [...weights, ...inputs];
}

function describe(step: FlowStep): string {
  const got = readsOf(step).map((amount) => `reads ${said(amount)}`);
  return [step.name, ...got, `hands on ${said(step.writes)}`].join(", ");
}

function said({ what, bytes: count }: FlowBytes): string {
  return `${what}: ${bytes(count)}`;
}

/** The arrow below a box, with what it carries beside it. */
function handOver({ writes, note }: FlowStep, y: number, width: number): string[] {
  const x = LEFT + 16;
  const aside = x + 14 + width / 2;
  return [
    arrow([x, y], [x, y + GAP - 1], width, "var(--dim)"),
    text(aside, y + (note ? 24 : 33), said(writes)),
    ...(note ? [text(aside, y + 42, note, { fill: "var(--dim)" })] : []),
  ];
}

function box({ name, stages, rare }: FlowStep, y: number, height: number): string[] {
  const shown = rare ? ["only for tokens without proof"] : lines(stages);
  const first = y + height / 2 - (shown.length === 1 ? 5 : 13);
  const stroke = `stroke="var(--blue)" stroke-width="1.5"${rare ? ' stroke-dasharray="5 4"' : ""}`;
  return [
    `<rect x="${LEFT}" y="${y}" width="${BOX}" height="${height}" rx="8" fill="var(--card)" ${stroke}/>`,
    text(LEFT + BOX / 2, first, name, { anchor: "middle", weight: 600 }),
    ...shown.map((line, i) =>
      text(LEFT + BOX / 2, first + 20 + 17 * i, line, { anchor: "middle", fill: "var(--dim)" }),
    ),
  ];
}

/** Stages in order, two lines of them at most. */
function lines(stages: readonly string[]): string[] {
  const all = stages.join(" → ");
  if (all.length <= 32) return [all];
  const half = Math.ceil(stages.length / 2);
  return [`${stages.slice(0, half).join(" → ")} →`, stages.slice(half).join(" → ")];
}

/** What is read comes from the left; what it is stands below the arrow, and how many bytes above it. */
function read({ what, bytes: count }: FlowBytes, y: number, width: number): string[] {
  return [
    text(0, y - width / 2 - 6, bytes(count), { fill: "var(--orange)", weight: 600 }),
    arrow([0, y], [LEFT - 2, y], width, "var(--orange)"),
    text(0, y + width / 2 + 15, what, { fill: "var(--dim)" }),
  ];
}

type Place = readonly [x: number, y: number];

/** Along one axis, with a tip that is wider than the rest. */
function arrow([x, y]: Place, [toX, toY]: Place, width: number, fill: string): string {
  const [half, wing] = [width / 2, width / 2 + 4];
  const tip = Math.min(12, wing + 3);
  const at = (along: number, aside: number) => (toY === y ? `${x + along} ${y + aside}` : `${x - aside} ${y + along}`);
  const length = toY === y ? toX - x : toY - y;
  const [start, neck] = [0, length - tip];
  const outline = [
    at(start, -half),
    at(neck, -half),
    at(neck, -wing),
    at(length, 0),
    at(neck, wing),
    at(neck, half),
    at(start, half),
  ];
  return `<path d="M${outline.join("L")}Z" fill="${fill}"/>`;
}

interface TextStyle {
  readonly anchor?: "middle";
  readonly fill?: string;
  readonly weight?: number;
}

function text(x: number, y: number, content: string, { anchor, fill = "var(--text)", weight }: TextStyle = {}): string {
  const style = `${anchor ? ` text-anchor="${anchor}"` : ""}${weight ? ` font-weight="${weight}"` : ""}`;
  return `<text x="${x}" y="${y}" font-size="13" fill="${fill}"${style}>${escaped(content)}</text>`;
}
