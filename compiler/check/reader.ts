// What builder calls were given, read property by property; what is wrong is collected with its place.

import type { Built } from "../../dsl/index.ts";
import type { Diagnostic, SourceSpan } from "../../runtime/errors.ts";
import type { ScalarFunction } from "../../runtime/scalar.ts";
import { nestedName } from "../load/spec-text.ts";
import type { LoadedSpec } from "../load.ts";
import { lowerFunction } from "../scalar/lower.ts";
import { builtKind, show } from "./show.ts";

export { builtKind, isBuilt, show } from "./show.ts";

/** What a reader needs of a spec; a model that a program built has neither a path nor functions whose text is known. */
type ReadSpec = Pick<LoadedSpec, "sites"> & Partial<Pick<LoadedSpec, "path" | "functions">>;

/** Reads options of builder calls, and collects what is wrong with them and where. */
export class Reader {
  readonly problems: Diagnostic[] = [];
  readonly #spec: ReadSpec;

  constructor(spec: ReadSpec) {
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
    return this.#property(built, property)?.name ?? this.call(built);
  }

  value(built: Built<string, unknown>, property: string): SourceSpan | undefined {
    return this.#property(built, property)?.value ?? this.call(built);
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

  /** The object that a property holds, to be read like options; undefined after a report. */
  part(built: Built<string, unknown>, property: string, example: string, fallback?: object): Part | undefined {
    const { [property]: value = fallback } = optionsOf(built);
    if (value === undefined) this.missing(built, property, example);
    else if (typeof value !== "object" || value === null || Array.isArray(value) || builtKind(value) !== "") {
      this.report("HIRE-SPEC-014", `\`${property}\` cannot be ${show(value)}`, {
        fix: `Give ${example}`,
        span: this.value(built, property),
      });
    } else return { kind: `\`${property}\` of ${built.kind}`, options: value, ...siteOf(built), within: property };
    return undefined;
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

  /**
   * A function of one number, such as `(z) => Math.max(z, 0)`; undefined when it is not given, or when something is wrong
   * with it, which is reported then at its place in the function.
   */
  scalar(built: Built<string, unknown>, property: string): ScalarFunction | undefined {
    const value = optionsOf(built)[property];
    if (value === undefined) return undefined;
    const place = this.value(built, property);
    const { scalar, problems } = lowerFunction(value, property, this.#spec.functions ?? [], place);
    this.problems.push(...problems);
    return scalar;
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
    const { within } = built as Partial<Part>;
    this.report("HIRE-SPEC-009", `${built.kind} needs \`${property}\``, {
      fix: `Add ${property}: ${expected}`,
      span: within === undefined ? this.call(built) : (this.#property(built, property)?.value ?? this.call(built)),
    });
  }

  #property(built: Built<string, unknown>, property: string) {
    const { within } = built as Partial<Part>;
    const properties = this.#site(built)?.properties;
    if (within === undefined) return properties?.get(property);
    return properties?.get(nestedName(within, property)) ?? properties?.get(within);
  }

  #site(built: Built<string, unknown>) {
    return built.site === undefined ? undefined : this.#spec.sites[built.site];
  }
}

/** An object inside the options of a call, which reads like options of its own. */
export interface Part extends Built<string, unknown> {
  /** The property that holds it. */
  readonly within: string;
}

function siteOf({ site }: Built<string, unknown>) {
  return site === undefined ? {} : { site };
}

/** Whatever a call was given, as an object. */
export function optionsOf(built: Built<string, unknown>): Readonly<Record<string, unknown>> {
  const { options } = built;
  return typeof options === "object" && options !== null ? (options as Record<string, unknown>) : {};
}
