// Plain data as Python literals.

export type Literal =
  | string
  | number
  | boolean
  | undefined
  | readonly Literal[]
  | { readonly [name: string]: number | string };

/** Arrays become tuples, `undefined` becomes `None`. A string of JSON is one of Python too. */
export function python(value: Literal): string {
  if (value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (isTuple(value)) return `(${value.map(python).join(", ")}${value.length === 1 ? "," : ""})`;
  if (typeof value !== "object") return JSON.stringify(value);
  const entries = Object.entries(value).map(([name, each]) => `${python(name)}: ${python(each)}`);
  return `{${entries.join(", ")}}`;
}

function isTuple(value: Literal): value is readonly Literal[] {
  return Array.isArray(value);
}
