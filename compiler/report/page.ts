// A report as data, and as one HTML file that needs nothing else: no script, no font, no network.

import type { Diagnostic } from "../../runtime/errors.ts";
import { loadTemplates } from "../templates.ts";
import { escaped } from "./escape.ts";

export interface Page {
  /** `Calibration of tiny-lm`. */
  readonly title: string;
  /** What the reader should take away. */
  readonly lead: readonly string[];
  readonly sections: readonly Section[];
  readonly run: Run;
}

/** What differs between equal runs, and who made the page: all of it in one place of the page. */
export interface Run {
  readonly command: string;
  /** ISO 8601. */
  readonly date: string;
  readonly hirec: string;
  readonly node: string;
}

/** What is there is shown in this order. Text between backticks is code. */
export interface Section {
  readonly id: string;
  readonly title: string;
  readonly notices?: readonly Diagnostic[];
  readonly paragraphs?: readonly string[];
  readonly tables?: readonly Table[];
  /** In rows. */
  readonly figures?: readonly (readonly Figure[])[];
  /** Shown when it is asked for. */
  readonly details?: readonly Table[];
  /** A unified diff. */
  readonly diff?: string;
}

export interface Table {
  readonly caption: string;
  readonly head: readonly string[];
  /** The first cell names the row. */
  readonly rows: readonly (readonly string[])[];
  /** Columns of words, which begin at their left edge; the others are numbers. */
  readonly words?: readonly number[];
  /** The rows that stand out. */
  readonly marked?: readonly number[];
}

export interface Figure {
  readonly title: string;
  /** What to see in it. */
  readonly caption: string;
  readonly svg: string;
  /** The same for narrow screens. */
  readonly narrow?: string;
  /** What is `wideOnly` is not in the narrow picture. */
  readonly legend?: readonly { readonly key: Key; readonly text: string; readonly wideOnly?: true }[];
}

/** What a legend shows before its text. */
export type Key = keyof typeof KEYS;

const stroke = (color: string, width: number, dash = "") =>
  `<path d="M1 8H27" stroke="var(--${color})" stroke-width="${width}"${dash && ` stroke-dasharray="${dash}"`}/>`;
const disc = (color: string) => `<circle cx="14" cy="8" r="5" fill="var(--${color})"/>`;

const KEYS = {
  front: `${stroke("blue", 2)}<circle cx="14" cy="8" r="3.5" fill="var(--blue)"/>`,
  chosen: disc("green"),
  bar: `<rect x="2" y="4" width="24" height="8" fill="var(--green)"/>`,
  spec: `<rect x="9" y="3" width="10" height="10" fill="var(--orange)"/>`,
  specDot: disc("orange"),
  best: `<path d="M14 1L21 8L14 15L7 8Z" fill="var(--green)"/>`,
  quantized: stroke("dim", 1),
  lowRank: stroke("dim", 1, "3 3"),
  target: stroke("text", 1, "6 4"),
  exact: `<rect x="3" y="2" width="22" height="12" fill="var(--blue)" opacity=".3"/>`,
  estimates: stroke("orange", 1.5),
  kth: stroke("blue", 2),
  cut: stroke("orange", 2, "5 3"),
  point: `<circle cx="14" cy="8" r="4" fill="var(--blue)"/>`,
  rank: `<path d="M14 2L20 8L14 14L8 8Z" fill="var(--orange)"/>`,
  diagonal: stroke("dim", 1, "4 4"),
} as const;

export function renderPage({ title, lead, sections, run }: Page): string {
  const template = loadTemplates("report", "html");
  const view = {
    ...{ title, run },
    lead: lead.map(prose),
    sections: sections.map((section) => ({
      ...{ id: section.id, title: section.title },
      notices: (section.notices ?? []).map(({ severity = "error", code, message, fix }) => ({
        ...{ severity, code, message, fix },
      })),
      paragraphs: (section.paragraphs ?? []).map(prose),
      tables: (section.tables ?? []).map(tableView),
      figures: (section.figures ?? []).filter((row) => row.length > 0).map((row) => row.map(figureView)),
      details: (section.details ?? []).map(tableView),
      diff: section.diff === undefined ? [] : [diffLines(section.diff)],
    })),
  };
  return template("page")(view);
}

function figureView({ title, caption, svg, narrow, legend = [] }: Figure) {
  return {
    ...{ title, svg, narrow: narrow === undefined ? [] : [narrow], caption: prose(caption) },
    hasLegend: legend.length > 0,
    legend: legend.map(({ key, text, wideOnly = false }) => ({ text, picture: KEYS[key], wideOnly })),
  };
}

function tableView({ caption, head, rows, words = [], marked = [] }: Table) {
  const [corner, ...columns] = head;
  // The first column has cells of its own.
  const cellView = (text: string, i: number) => ({ text: prose(text), isWords: words.includes(i + 1) });
  return {
    ...{ caption, corner, columns: columns.map(cellView) },
    rows: rows.map(([name, ...cells], i) => ({
      ...{ name: prose(name!), cells: cells.map(cellView), isMarked: marked.includes(i) },
    })),
  };
}

function diffLines(diff: string) {
  const kinds = { "+": "added", "-": "removed" } as const;
  return diff
    .trimEnd()
    .split("\n")
    .map((text) => ({ text, kind: /^(---|\+\+\+|@@)/.test(text) ? "place" : (kinds[text[0] as "+"] ?? "kept") }));
}

/** Text as HTML. */
function prose(text: string): string {
  return escaped(text).replace(/`([^`]+)`/g, "<code>$1</code>");
}
