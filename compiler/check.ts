// Pass 2. What a spec says becomes a checked model, or every problem at once, each at its place.

import { basename } from "node:path";
import type { Built } from "../dsl/index.ts";
import { type Diagnostic, HireError, type SourceSpan } from "../runtime/errors.ts";
import type { LoadedSpec } from "./load.ts";
import type { CheckedEstimator, CheckedModel, CheckedSelector, CheckedSoftmax } from "./model.ts";

/** Largest batch that one launch scores while reading the weights once. */
const MAX_BATCH = 16;

/** Row and column numbers are u32 in every kernel; this keeps every product that indexes a weight exact as well. */
const MAX_EXTENT = 2 ** 24;

/**
 * @throws HireError HIRE-SPEC-006 to -017, all that were found.
 */
export function check(spec: Omit<LoadedSpec, "files">): CheckedModel {
  const reader = new Reader(spec);
  const { name, layers } = spec.model.options;
  if (typeof name !== "string" || !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) || name.length > 64) {
    reader.report("HIRE-SPEC-006", `${show(name)} cannot name a model`, {
      fix: "Use lower-case letters, digits and single dashes, at most 64; the name becomes a folder",
      span: reader.argument(spec.model, 0),
    });
  }
  const entries = typeof layers === "object" && layers !== null ? Object.entries(layers) : [];
  if (entries.length === 0) {
    reader.report("HIRE-SPEC-017", "The model has no layers", {
      fix: "Pass an object with at least one layer as the second argument of defineModel",
      span: reader.argument(spec.model, 1),
    });
  }
  const checked = entries.map(([layerName, layer]) => checkLayer(reader, spec.model, layerName, layer));
  if (reader.problems.length > 0) throw new HireError(withoutRepeats(reader.problems));
  return { name, spec: basename(spec.path), layers: checked };
}

/** A constant that two layers share is wrong once. */
function withoutRepeats(problems: readonly Diagnostic[]): Diagnostic[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()];
}

function checkLayer(reader: Reader, model: Built<string, unknown>, name: string, layer: unknown): CheckedSoftmax {
  if (!/^[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*$/.test(name) || name.length > 64) {
    reader.report("HIRE-SPEC-006", `${show(name)} cannot name a layer`, {
      fix: "Use letters, digits and single underscores, starting with a letter, at most 64; the name becomes part of kernel and file names",
      span: reader.name(model, name),
    });
  }
  if (!isBuilt(layer, "softmax")) {
    reader.report("HIRE-SPEC-014", `Layer "${name}" is not a layer`, {
      fix: "Make it with softmax({ … })",
      span: reader.value(model, name),
    });
    return {} as CheckedSoftmax;
  }
  return checkSoftmax(reader, name, layer);
}

/** Where scores are estimates anyway, the last hundredth of recall is not worth several times the survivors. */
const DEFAULT_SELECTOR: CheckedSelector = { kind: "twoStage", recall: 0.99 };

const SOFTMAX_PROPERTIES = "inputs rows dtype weight estimator k candidates select batch".split(" ");

function checkSoftmax(reader: Reader, name: string, layer: Built<"softmax", unknown>): CheckedSoftmax {
  const options = reader.options(layer, SOFTMAX_PROPERTIES);
  const inputs = reader.count(layer, "inputs", MAX_EXTENT);
  const rows = reader.count(layer, "rows", MAX_EXTENT);
  const k = reader.count(layer, "k", MAX_EXTENT);
  const batch = reader.count(layer, "batch", MAX_BATCH, 1);
  const dtype = reader.choice(layer, "dtype", ["f32", "f16", "bf16"] as const, "bf16");
  const weight = reader.tensorName(layer, "weight");
  const estimator = checkEstimator(reader, layer, options.estimator);
  const isDense = estimator?.kind === "dense";
  const select = checkSelector(reader, layer, options.select, isDense ? { kind: "exact" } : DEFAULT_SELECTOR);
  if (isDense && options.candidates !== undefined) {
    reader.report("HIRE-SPEC-015", "`candidates` has no meaning with dense(), which scores every row exactly", {
      fix: "Remove `candidates`",
      span: reader.name(layer, "candidates"),
    });
  }
  const defaultCandidates = isDense ? k : Math.min(4 * k, rows);
  const candidates = isDense ? k : reader.count(layer, "candidates", MAX_EXTENT, defaultCandidates);
  if (k > rows) {
    reader.report("HIRE-SPEC-012", `\`k\` (${k}) is larger than \`rows\` (${rows})`, {
      fix: "Lower k: a layer cannot return more rows than it has",
      span: reader.value(layer, "k"),
    });
  } else if (k > candidates) {
    reader.report("HIRE-SPEC-011", `\`k\` (${k}) is larger than \`candidates\` (${candidates})`, {
      fix: "Raise candidates, or lower k: the k results are taken from the candidates. Four times k is a good start",
      span: reader.value(layer, "candidates"),
    });
  }
  if (candidates > rows && k <= rows) {
    reader.report("HIRE-SPEC-012", `\`candidates\` (${candidates}) is larger than \`rows\` (${rows})`, {
      fix: "Lower candidates to at most rows",
      span: reader.value(layer, "candidates"),
    });
  }
  return { kind: "softmax", name, inputs, rows, dtype, weight, estimator: estimator!, k, candidates, select, batch };
}

function checkEstimator(
  reader: Reader,
  layer: Built<string, unknown>,
  estimator: unknown,
): CheckedEstimator | undefined {
  if (isBuilt(estimator, "dense")) return { kind: "dense" };
  if (isBuilt(estimator, "quantized")) {
    reader.options(estimator, ["bits", "group", "activations"]);
    return {
      kind: "quantized",
      bits: reader.choice(estimator, "bits", [4, 8] as const),
      group: reader.choice(estimator, "group", [32, 64, 128, "row"] as const, 32),
      activations: reader.choice(estimator, "activations", ["int8", "f32"] as const, "int8"),
    };
  }
  reader.missingBuilder(layer, "estimator", estimator, "quantized({ bits: 4 }) or dense()");
  return undefined;
}

function checkSelector(
  reader: Reader,
  layer: Built<string, unknown>,
  selector: unknown,
  fallback: CheckedSelector,
): CheckedSelector {
  if (selector === undefined) return fallback;
  if (isBuilt(selector, "exact")) return { kind: "exact" };
  if (isBuilt(selector, "twoStage")) {
    const { recall } = reader.options(selector, ["recall"]);
    if (typeof recall === "number" && recall > 0 && recall <= 1) return { kind: "twoStage", recall };
    reader.report("HIRE-SPEC-010", `\`recall\` must be a number above 0 and at most 1, not ${show(recall)}`, {
      fix: "Use a share such as 0.99",
      span: reader.value(selector, "recall"),
    });
  } else {
    reader.missingBuilder(layer, "select", selector, "exact() or twoStage({ recall: 0.99 })");
  }
  return { kind: "exact" };
}

function isBuilt<Kind extends string>(value: unknown, kind: Kind): value is Built<Kind, unknown> {
  return typeof value === "object" && value !== null && (value as Built<string, unknown>).kind === kind;
}

/** A value as it may stand in a message: short, on one line. */
function show(value: unknown): string {
  const text =
    typeof value === "string" ? JSON.stringify(value) : typeof value === "function" ? "a function" : undefined;
  const shown = text ?? (typeof value === "object" && value !== null ? "an object" : String(value));
  return shown.length > 60 ? `${shown.slice(0, 57)}…` : shown;
}

/** Reads options of builder calls, and collects what is wrong with them and where. */
class Reader {
  readonly problems: Diagnostic[] = [];
  readonly #spec: Pick<LoadedSpec, "path" | "sites">;

  constructor(spec: Pick<LoadedSpec, "path" | "sites">) {
    this.#spec = spec;
  }

  report(code: string, message: string, { fix, span }: { fix: string; span: SourceSpan }): void {
    this.problems.push({ code, message, fix, span });
  }

  /** The place of the call that built a value; the start of the spec when the call could not be followed. */
  call(built: Built<string, unknown>): SourceSpan {
    return this.#site(built)?.call ?? { file: this.#spec.path, line: 1, column: 1, length: 1 };
  }

  argument(built: Built<string, unknown>, index: number): SourceSpan {
    return this.#site(built)?.args[index] ?? this.call(built);
  }

  name(built: Built<string, unknown>, property: string): SourceSpan {
    return this.#site(built)?.properties.get(property)?.name ?? this.call(built);
  }

  value(built: Built<string, unknown>, property: string): SourceSpan {
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
    const value = optionsOf(built)[property] ?? fallback;
    if (value === undefined) this.#missing(built, property, "a whole number");
    else if (!Number.isSafeInteger(value) || (value as number) < 1 || (value as number) > max) {
      this.report("HIRE-SPEC-010", `\`${property}\` must be a whole number from 1 to ${max}, not ${show(value)}`, {
        fix: `Give ${property} as a plain number in that range`,
        span: this.value(built, property),
      });
    } else return value as number;
    return Number.NaN;
  }

  choice<Value extends string | number>(
    built: Built<string, unknown>,
    property: string,
    offered: readonly Value[],
    fallback?: Value,
  ): Value {
    const value = optionsOf(built)[property] ?? fallback;
    const list = offered.map((each) => JSON.stringify(each)).join(", ");
    if (value === undefined) this.#missing(built, property, `one of ${list}`);
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
    if (value === undefined) this.#missing(built, property, "the name of a tensor in the weights file");
    else if (typeof value !== "string" || value.length === 0 || /[\x00-\x1f]/.test(value)) {
      this.report("HIRE-SPEC-016", `\`${property}\` must be the name of a tensor, not ${show(value)}`, {
        fix: 'Give the name as it stands in the weights file, such as "lm_head.weight"',
        span: this.value(built, property),
      });
    }
    return value as string;
  }

  missingBuilder(built: Built<string, unknown>, property: string, value: unknown, example: string): void {
    if (value === undefined) this.#missing(built, property, example);
    else {
      this.report("HIRE-SPEC-014", `\`${property}\` cannot be ${show(value)}`, {
        fix: `Make it with ${example}`,
        span: this.value(built, property),
      });
    }
  }

  #missing(built: Built<string, unknown>, property: string, expected: string): void {
    this.report("HIRE-SPEC-009", `${built.kind} needs \`${property}\``, {
      fix: `Add ${property}: ${expected}`,
      span: this.call(built),
    });
  }

  #site(built: Built<string, unknown>) {
    return built.site === undefined ? undefined : this.#spec.sites[built.site];
  }
}

function optionsOf(built: Built<string, unknown>): Readonly<Record<string, unknown>> {
  const { options } = built;
  return typeof options === "object" && options !== null ? (options as Record<string, unknown>) : {};
}
