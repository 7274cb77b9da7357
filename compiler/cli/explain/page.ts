// The page of a diagnostic code: found, also when the code is written loosely, and laid out for a terminal.

import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { HireError } from "../../../runtime/errors.ts";
import { painter } from "../report.ts";

export interface Page {
  readonly code: string;
  readonly title: string;
  /** Markdown. */
  readonly text: string;
}

/** Whether an argument means a code: `HIRE-SPEC-011`, in any case, also without `HIRE`. */
export function looksLikeCode(argument: string): boolean {
  return /^(HIRE-[\w-]*|[A-Z]+-\d+)$/i.test(argument) && !existsSync(argument);
}

/** @throws HireError HIRE-CLI-001 when there is no such code, naming those that are near. */
export async function findPage(argument: string): Promise<Page> {
  const folder = pageFolder();
  const pages = (await readdir(folder)).filter((file) => /^HIRE-/.test(file));
  const codes = pages.map((file) => file.replace(/\.md$/, ""));
  const upper = argument.toUpperCase();
  const code = upper.startsWith("HIRE-") ? upper : `HIRE-${upper}`;
  if (!codes.includes(code)) {
    throw new HireError({
      code: "HIRE-CLI-001",
      message: `There is no code ${code}`,
      fix: `Did you mean ${listed(nearest(code, codes))}? All codes stand in docs/diagnostics/README.md`,
    });
  }
  const text = await readFile(`${folder}/${code}.md`, "utf8");
  return { code, title: /^# \S+: (.*)/.exec(text)?.[1] ?? code, text };
}

/** `docs/` lies beside `compiler/` in the sources, and beside `dist/` in the built package. */
function pageFolder(): string {
  return ["../../../docs/diagnostics", "../../../../docs/diagnostics"]
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find(existsSync)!;
}

function nearest(code: string, codes: readonly string[]): string[] {
  const distances = codes.map((each) => ({ each, distance: editDistance(code, each) }));
  return distances
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ each }) => each);
}

function listed(names: readonly string[]): string {
  return `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}

/** Levenshtein's distance: how many letters must be added, removed or replaced. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** Markdown as a terminal shows it: paragraphs filled to `width`, code set off and left as it is. */
export function formatPage({ text }: Page, width: number, color: boolean): string {
  const paint = painter(color);
  // Every other part is a fenced block.
  const parts = text.trim().split(/^```.*\n?/m);
  const blocks = parts.flatMap((part, index) => {
    if (index % 2 === 1) return [part.trimEnd().replace(/^(?=.)/gm, "    ")];
    const paragraphs = part.split(/\n{2,}/).map((paragraph) => paragraph.trim());
    return paragraphs.filter((paragraph) => paragraph !== "").map((paragraph) => formatParagraph(paragraph));
  });
  return blocks.join("\n\n");

  function formatParagraph(paragraph: string): string {
    const [, marks, heading] = /^(#+) (.*)/.exec(paragraph) ?? [];
    if (heading !== undefined) return paint(marks === "#" ? ["bold", "underline"] : "bold", heading);
    const items = paragraph.split(/\n(?=[-*] |\d+\. )/);
    const filled = items.map((item) => fill(item.replace(/\[([^\]]+)\]\([^)]*\)/g, "$1"), width)).join("\n");
    return color ? filled.replace(/`([^`]+)`/g, (_, code: string) => paint("cyan", code)) : filled;
  }
}

/** Breaks lines between words; a list item's later lines stand below its text. */
function fill(text: string, width: number): string {
  const indent = " ".repeat(/^([-*] |\d+\. )/.exec(text)?.[0].length ?? 0);
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(line === undefined ? word : `${indent}${word}`);
  }
  return lines.join("\n");
}
