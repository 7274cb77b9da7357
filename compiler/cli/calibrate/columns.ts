// Cells as lines of text.

/** @param left columns that begin where they are, and do not end there. */
export function columns(rows: readonly (readonly string[])[], left: readonly number[] = []): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((cells) => (cells[i] ?? "").length)));
  return rows
    .map((cells) => {
      const line = cells.map((cell, i) => (left.includes(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)));
      return `  ${line.join("  ").trimEnd()}`;
    })
    .join("\n");
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
