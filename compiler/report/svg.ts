// What every picture of a report begins with.

import { escaped } from "./escape.ts";

interface SvgHead {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  readonly title: string;
  readonly description: string;
}

/** What every picture of the page begins with: its size, and its name for those who do not see it. */
export function openSvg({ id, width, height, title, description }: SvgHead): string {
  const named = `role="img" aria-labelledby="${id}-title" aria-describedby="${id}-desc"`;
  const names = `<title id="${id}-title">${escaped(title)}</title><desc id="${id}-desc">${escaped(description)}</desc>`;
  return `<svg viewBox="0 0 ${width} ${height}" style="max-width:${Math.round(width * 1.25)}px" ${named}>${names}`;
}
