// Settings as a spec writes them.

import type { CheckedEstimator, CheckedSelector } from "../model.ts";
import type { Setting } from "./result.ts";

/** The values as they are written in a spec, by property. */
export function writtenValues(setting: Partial<Setting>): Readonly<Record<string, string>> {
  const { estimator, candidates, select, shards = {} } = setting;
  const built = (value: CheckedEstimator | CheckedSelector) => {
    const { name, options } = builderOf(value);
    return callText(name, options);
  };
  const values = Object.entries(shards).map(([name, value]) => [`shards.${name}`, String(value)]);
  return {
    ...(estimator && { estimator: built(estimator) }),
    ...(candidates !== undefined && { candidates: String(candidates) }),
    ...(select && { select: built(select) }),
    ...Object.fromEntries(values),
  };
}

/** A call of the language, as text. */
export interface Builder {
  readonly name: string;
  /** Values as they are written, by property; defaults are left out. */
  readonly options: Readonly<Record<string, string>>;
  /** What a property counts that is not written. */
  readonly defaults: Readonly<Record<string, string>>;
}

export function builderOf(value: CheckedEstimator | CheckedSelector): Builder {
  const { kind, ...options } = value;
  const defaults: Record<string, unknown> =
    kind === "quantized"
      ? { group: 32, activations: "int8" }
      : kind === "lowRank"
        ? { basis: "weights", activations: "bits" in value && value.bits === 16 ? "f32" : "int8" }
        : {};
  const texts = (of: object) =>
    Object.fromEntries(Object.entries(of).map(([name, each]) => [name, JSON.stringify(each)]));
  const written = Object.fromEntries(Object.entries(options).filter(([name, each]) => defaults[name] !== each));
  return { name: kind, options: texts(written), defaults: texts(defaults) };
}

export function callText(name: string, options: Readonly<Record<string, string>>): string {
  const properties = Object.entries(options).map(([property, value]) => `${property}: ${value}`);
  return properties.length === 0 ? `${name}()` : `${name}({ ${properties.join(", ")} })`;
}
