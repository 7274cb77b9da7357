// Numbers and settings as the report writes them.

import type { Quality } from "../../runtime/measure/quality.ts";
import type { Setting, Target } from "../calibrate/result.ts";
import { writtenValues } from "../calibrate/written.ts";
import { formatBytes } from "../format-bytes.ts";

/** A number and its unit stay on one line. */
export const bytes = (count: number) => formatBytes(Math.round(count)).replace(" ", "\u00a0");

/** What is almost all does not read as all. */
export function percent(share: number, digits = 2): string {
  const rounded = (100 * share).toFixed(digits);
  return `${share < 1 && Number(rounded) === 100 ? (100 - 10 ** -digits).toFixed(digits) : rounded}\u00a0%`;
}

/** Of the measures of targets. */
export const NAMES = { recall: "recall", agreement: "agreement", certified: "proven tokens" } as const;

/** The share of a target, as it was given. */
export function wantedShare({ value }: Pick<Target, "value">): string {
  return `${Number((100 * value).toFixed(6))}\u00a0%`;
}

export const small = (value: number) => value.toPrecision(2);

export const count = (value: number) => value.toLocaleString("en-US");

export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** Names as a sentence lists them. */
export function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** An estimator in the words of a legend: `2 bits / 64`, `rank 32 × 4 bits, activations`. */
export function estimatorName({ estimator }: Pick<Setting, "estimator">): string {
  if (estimator.kind === "dense") return "dense";
  if (estimator.kind === "lowRank")
    return `rank ${estimator.rank}, ${estimator.bits} bits, basis of the ${estimator.basis}`;
  const { bits, group } = estimator;
  return `${bits} bits, ${group === "row" ? "a scale per row" : `groups of ${group}`}`;
}

/** A setting on one line, as a spec writes it. */
export function settingName(setting: Setting): string {
  const { estimator, select } = writtenValues(setting);
  return `${estimator}, k′ ${setting.candidates}, ${select}`;
}

export function capitalized(text: string): string {
  return text.replace(/^./, (letter) => letter.toUpperCase());
}

/** A setting over three columns: estimator, k′ and first stage. */
export function settingCells(setting: Setting): readonly [string, string, string] {
  const { select } = setting;
  const stage = select.kind === "twoStage" ? `two stages, ${select.recall}` : select.kind;
  return [estimatorName(setting), String(setting.candidates), stage];
}

export function settingWords(setting: Setting): string {
  const [estimator, candidates, stage] = settingCells(setting);
  return `${estimator}; k′ ${candidates}; ${stage}`;
}

/** What is not right in the results of a head, or of a feed-forward. */
export function sideEffect({ divergence, error }: Pick<Quality, "divergence" | "error">): string {
  if (divergence) return `${small(divergence.mean)} KL`;
  return error ? `${small(error.mean)} error` : "–";
}
