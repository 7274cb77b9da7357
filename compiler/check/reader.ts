// What builder calls were given, read property by property; what is wrong is collected with its place.

import type { Built } from "../../dsl/index.ts";
import type { Diagnostic, SourceSpan } from "../../runtime/errors.ts";
import type { LoadedSpec } from "../load.ts";

/** Reads options of builder calls, and collects what is wrong with them and where. */
export class Reader {
  readonly problems: Diagnostic[] = [];
  readonly #spec: Pick<LoadedSpec, "sites"> & { readonly path?: string };

  constructor(spec: Pick<LoadedSpec, "sites"> & { readonly path?: string }) {
    this.#spec = spec;
  }

  report(code: string, message: string, { fix, span }: { fix: string; span: SourceSpan | undefined }): void {
    this.problems.push({ code, message, fix, ...(span && { span }) });
  }

  /** The place of the call that built a value; the start of the spec when the call could not be followed. */
  call(built: Built<string, unknown>): SourceSpan | undefined {
    const { path } = this.#spec;
    return this.#site(built)?.call ?? (path === undefined ? undefined : { file: path, line: 1, column: 1, length: 1 });
  }

  argument(built: Built<string, unknown>, index: number): SourceSpan | undefined {
    return this.#site(built)?.args[index] ?? this.call(built);
  }

  /** Whether the text of the call has a property of that name. */
  isWritten(built: Built<string, unknown>, property: string): boolean {
    return this.#site(built)?.properties.has(property) ?? false;
  }

  name(built: Built<string, unknown>, property: string): SourceSpan | undefined {
    return this.#site(built)?.properties.get(property)?.name ?? this.call(built);
  }

  value(built: Built<string, unknown>, property: string): SourceSpan | undefined {
    return this.#site(built)?.properties.get(property)?.value ?? this.call(built);
  }

  /** The options of a call, after reporting those that the builder does not know. */
  options(built: Built<string, unknown>, known: readonly string[]): Readonly<Record<string, unknown>> {
    const options = optionsOf(built);
    for (const property of Object.keys(options)) {
      if (known.includes(property)) continue;
      this.report("HIRE-SPEC-008", `${built.kind} has no property "${property}"`, {
        fix: `Use one of: ${known.join(", ")}`,
        span: this.name(built, property),
      });
    }
    return options;
  }

  /** A whole number from 1 to `max`. */
  count(built: Built<string, unknown>, property: string, max: number, fallback?: number): number {
    const { [property]: value = fallback } = optionsOf(built);
    if (value === undefined) this.missing(built, property, "a whole number");
    else if (!Number.isSafeInteger(value) || (value as number) < 1 || (value as number) > max) {
      this.report("HIRE-SPEC-010", `\`${property}\` must be a whole number from 1 to ${max}, not ${show(value)}`, {
        fix: `Give ${property} as a plain number in that range`,
        span: this.value(built, property),
      });
    } else return value as number;
    return Number.NaN;
  }

  choice<Value extends string | number | boolean>(
    built: Built<string, unknown>,
    property: string,
    offered: readonly Value[],
    fallback?: Value,
  ): Value {
    const { [property]: value = fallback } = optionsOf(built);
    const list = offered.map((each) => JSON.stringify(each)).join(", ");
    if (value === undefined) this.missing(built, property, `one of ${list}`);
    else if (!offered.includes(value as Value)) {
      this.report("HIRE-SPEC-013", `\`${property}\` cannot be ${show(value)}`, {
        fix: `Use one of: ${list}`,
        span: this.value(built, property),
      });
    }
    return value as Value;
  }

  tensorName(built: Built<string, unknown>, property: string): string {
    const value = optionsOf(built)[property];
    if (value === undefined) this.missing(built, property, "the name of a tensor in the weights file");
    else if (typeof value !== "string" || value.length === 0 || /[\x00-\x1f]/.test(value)) {
      this.report("HIRE-SPEC-016", `\`${property}\` must be the name of a tensor, not ${show(value)}`, {
        fix: 'Give the name as it stands in the weights file, such as "lm_head.weight"',
        span: this.value(built, property),
      });
    }
    return value as string;
  }

  missingBuilder(built: Built<string, unknown>, property: string, value: unknown, example: string): void {
    if (value === undefined) this.missing(built, property, example);
    else {
      this.report("HIRE-SPEC-014", `\`${property}\` cannot be ${show(value)}`, {
        fix: `Make it with ${example}`,
        span: this.value(built, property),
      });
    }
  }

  missing(built: Built<string, unknown>, property: string, expected: string): void {
    this.report("HIRE-SPEC-009", `${built.kind} needs \`${property}\``, {
      fix: `Add ${property}: ${expected}`,
      span: this.call(built),
    });
  }

  #site(built: Built<string, unknown>) {
    return built.site === undefined ? undefined : this.#spec.sites[built.site];
  }
}

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

function optionsOf(built: Built<string, unknown>): Readonly<Record<string, unknown>> {
  const { options } = built;
  return typeof options === "object" && options !== null ? (options as Record<string, unknown>) : {};
}
