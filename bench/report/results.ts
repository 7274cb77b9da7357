// What bench/gpu writes (results.py), as far as a report needs it.

import { readFile } from "node:fs/promises";

const FORMAT = 1;

export interface Results {
  readonly format: number;
  readonly kind: "layers" | "decode";
  readonly dryRun: boolean;
  readonly date: string;
  readonly commit: string;
  readonly command: string;
  readonly machine: Readonly<Record<string, string | number | null>>;
  /** Bytes per second. */
  readonly bandwidth: {
    readonly read: number;
    readonly reader: string;
    readonly copy: number;
    readonly readers: Readonly<Record<string, number>>;
  };
  readonly shapes: readonly {
    readonly name: string;
    readonly kind: "head" | "ffn" | "decode";
    readonly title: string;
  }[];
  readonly rows: readonly Row[];
  readonly bars: readonly Bar[];
  readonly notReached: readonly { readonly shape: string; readonly batch: number }[];
}

export interface Bar {
  readonly bar: string;
  readonly wanted: number;
  readonly reached: number;
  readonly passed: boolean;
}

export type Row = TimedRow | SkippedRow;

interface AnyRow {
  readonly shape: string;
  readonly batch: number;
  readonly contender: string;
}

export interface SkippedRow extends AnyRow {
  /** Why it could not be timed. */
  readonly skipped: string;
}

export interface TimedRow extends AnyRow {
  /** Median, least and most. */
  readonly us: number;
  readonly usLow: number;
  readonly usHigh: number;
  readonly ofFloor: number;
  readonly bytes: number;
  readonly launches: number;
  /** How many times as fast as the baseline; absent where that could not be timed. */
  readonly ratio?: number;
  /** Copies of the weights that the calls went over. */
  readonly copies?: number;
  readonly recall?: number;
  readonly top1?: number;
  readonly error?: number;
  readonly scoreOfBandwidth?: number;
  readonly isDensePath?: boolean;
  readonly kernels: readonly {
    readonly name: string;
    readonly us: number;
    readonly launches: number;
    readonly details: Readonly<Record<string, unknown>>;
  }[];
  readonly tokensPerSecond?: number;
  readonly parts?: Readonly<Record<string, number>>;
}

export function isTimed(row: Row): row is TimedRow {
  return "us" in row;
}

/** @throws Error when the file is not what bench/gpu writes. */
export async function readResults(path: string): Promise<Results> {
  const results: Results = JSON.parse(await readFile(path, "utf8"));
  if (results.format !== FORMAT) throw new Error(`${path} has format ${results.format}, not ${FORMAT}`);
  if (!("bandwidth" in results)) throw new Error(`${path} was cut off before anything was measured`);
  return results;
}

/** Each value once, in the order of the first. */
export function distinct<Value>(values: readonly Value[]): Value[] {
  return [...new Set(values)];
}
