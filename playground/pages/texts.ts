// The pages of docs/diagnostics, as HTML; a chunk of its own, which is loaded when the first page is asked for.

import { marked } from "marked";

const texts = import.meta.glob<string>("../../docs/diagnostics/HIRE-*.md", {
  query: "?raw",
  import: "default",
  eager: true,
});

/** @returns undefined for a code without a page. */
export function pageOf(code: string): string | undefined {
  const text = texts[`../../docs/diagnostics/${code}.md`];
  return text && (marked.parse(text, { async: false }) as string);
}
