// Values of a spec in messages.

import type { Built } from "../../dsl/index.ts";

export function isBuilt<Kind extends string>(value: unknown, kind: Kind): value is Built<Kind, unknown> {
  return typeof value === "object" && value !== null && (value as Built<string, unknown>).kind === kind;
}

/** The name of the builder that made a value; empty when none did. */
export function builtKind(value: object): string {
  const { kind } = value as Partial<Built<string, unknown>>;
  return typeof kind === "string" && Object.hasOwn(value, "options") ? kind : "";
}

/** A value as it may stand in a message: short, on one line. */
export function show(value: unknown): string {
  const shown = describe(value);
  return shown.length > 60 ? `${shown.slice(0, 57)}…` : shown;
}

function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return "an array";
  return builtKind(value) === "" ? "a plain object" : `${builtKind(value)}(…)`;
}
