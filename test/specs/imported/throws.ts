// Imported by specs that fail while they run.
const ROWS: Record<string, number> = { small: 256 };

export function rowsOf(size: string): number {
  const rows = ROWS[size];
  if (rows === undefined) throw new RangeError(`no model is called ${size}`);
  return rows;
}
