// The flow of a launch as a picture: kernels from top to bottom, and arrows as wide as the bytes that they carry.

import { escaped } from "./escape.ts";
import type { Amount, Flow, FlowStep } from "./flow.ts";
import { openSvg } from "./svg.ts";
import { bytes } from "./words.ts";

const [WIDTH, LEFT, BOX, BOX_HEIGHT] = [380, 160, 212, 78] as const;

/** Between boxes, and above the first and below the last. */
const [GAP, END] = [48, 56] as const;

/** Width of an arrow that carries as many bytes as the dense layer reads. */
const WIDEST = 40;

export interface DiagramInput {
  readonly id: string;
  readonly title: string;
  readonly flow: Flow;
  /** What arrows are measured by. */
  readonly denseBytes: number;
}

export function diagram({ id, title, flow, denseBytes }: DiagramInput): string {
  const { steps, input, output } = flow;
  const top = (i: number) => END + i * (BOX_HEIGHT + GAP);
  const bottom = top(steps.length) - GAP;
  const width = ({ bytes: count = 0 }: Amount) => Math.max(1.5, (WIDEST * count) / denseBytes);
  const x = LEFT + BOX / 2;
  const parts = [
    text(x, 14, said(input), { anchor: "middle" }),
    arrowDown(x, 22, END, width(input)),
    ...steps.flatMap((step, i) => [
      ...step.reads.map((amount, at) =>
        read(amount, top(i) + (BOX_HEIGHT * (2 * at + 1)) / (2 * step.reads.length), width(amount)),
      ),
      ...box(step, top(i)),
      ...(i + 1 < steps.length
        ? [
            arrowDown(x, top(i) + BOX_HEIGHT, top(i + 1), width(step.passes ?? { what: "" })),
            ...(step.passes
              ? [text(x - 14, top(i) + BOX_HEIGHT + GAP / 2 + 4, said(step.passes), { anchor: "end" })]
              : []),
          ]
        : []),
    ]),
    arrowDown(x, bottom, bottom + END - 22, width(output)),
    text(x, bottom + END - 6, said(output), { anchor: "middle" }),
  ];
  const description = steps.map(describe).join("; ");
  return `${openSvg({ id, width: WIDTH, height: bottom + END, title, description })}${parts.join("")}</svg>`;
}

function describe({ name, reads, passes }: FlowStep): string {
  const got = reads.map((amount) => `reads ${said(amount)}`);
  return [name, ...got, ...(passes ? [`hands on ${said(passes)}`] : [])].join(", ");
}

function said({ what, bytes: count }: Amount): string {
  return count === undefined ? what : `${what}: ${bytes(count)}`;
}

function box({ name, stages }: FlowStep, y: number): string[] {
  const shown = lines(stages);
  const first = y + (shown.length === 1 ? 34 : 26);
  return [
    `<rect x="${LEFT}" y="${y}" width="${BOX}" height="${BOX_HEIGHT}" rx="8" fill="var(--card)" stroke="var(--blue)" stroke-width="1.5"/>`,
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

/** Weights come from the left; what they are stands below the arrow, and how many bytes above it. */
function read({ what, bytes: count }: Amount, y: number, width: number): string {
  const amount =
    count === undefined ? "" : text(0, y - width / 2 - 6, bytes(count), { fill: "var(--orange)", weight: 600 });
  return (
    amount +
    arrow([0, y], [LEFT - 2, y], width, "var(--orange)") +
    text(0, y + width / 2 + 15, what, { fill: "var(--dim)" })
  );
}

function arrowDown(x: number, from: number, to: number, width: number): string {
  return arrow([x, from], [x, to - 1], width, "var(--dim)");
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
  readonly anchor?: "middle" | "end";
  readonly fill?: string;
  readonly weight?: number;
}

function text(x: number, y: number, content: string, { anchor, fill = "var(--text)", weight }: TextStyle = {}): string {
  const style = `${anchor ? ` text-anchor="${anchor}"` : ""}${weight ? ` font-weight="${weight}"` : ""}`;
  return `<text x="${x}" y="${y}" font-size="13" fill="${fill}"${style}>${escaped(content)}</text>`;
}
