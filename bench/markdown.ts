// Tables of results in documents, each between comments that name its place.

/** @param tables Markdown by the name of its place. @throws Error for a place that the document does not have. */
export function fillPlaces(document: string, tables: Readonly<Record<string, string>>): string {
  return Object.entries(tables).reduce((text, [name, table]) => {
    const place = new RegExp(`(<!-- ${name} -->\\n)[^]*?(<!-- end -->)`);
    if (!place.test(text)) throw new Error(`the document has no place for the table "${name}"`);
    return text.replace(place, (_, begin, end) => `${begin}\n${table}\n\n${end}`);
  }, document);
}

export type Cell = string | number;

/** @param head the columns' names, separated by `" | "`. */
export function table(head: string, rows: readonly (readonly Cell[])[]): string {
  const line = (cells: string) => `| ${cells} |`;
  const ruler = head.split(" | ").map(() => "---");
  return [line(head), line(ruler.join(" | ")), ...rows.map((row) => line(row.join(" | ")))].join("\n");
}

export function percent(share: number, digits: number): string {
  return `${(100 * share).toFixed(digits)} %`;
}

/** So many digits, or a whole number. */
export function significant(value: number, digits: number): string {
  return String(value >= 10 ** (digits - 1) ? Math.round(value) : Number(value.toPrecision(digits)));
}
