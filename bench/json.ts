// Results as JSON that diffs well: a line for each record, and numbers of six digits, since the last ones of powers and logarithms
// may differ between machines.

/** @param levels of objects and arrays that are spread over lines, where they hold records. */
export function linesOf(value: unknown, levels: number, indent = ""): string {
  if (levels === 0 || !holdsRecords(value)) return JSON.stringify(value, rounded);
  const inner = `${indent}  `;
  const parts = Array.isArray(value)
    ? value.map((each) => linesOf(each, levels - 1, inner))
    : Object.entries(value as object)
        .filter(([, each]) => each !== undefined)
        .map(([name, each]) => `${JSON.stringify(name)}: ${linesOf(each, levels - 1, inner)}`);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  return `${open}\n${parts.map((part) => inner + part).join(",\n")}\n${indent}${close}`;
}

/** Whether a value is a list of records, or has one. */
function holdsRecords(value: unknown): boolean {
  const isRecords = (each: unknown) => Array.isArray(each) && typeof each[0] === "object" && each[0] !== null;
  return isRecords(value) || (typeof value === "object" && value !== null && Object.values(value).some(isRecords));
}

function rounded(_: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(6)) : value;
}
