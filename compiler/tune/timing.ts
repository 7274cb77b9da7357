// What repeated measurements say, and when they say that one thing is faster than another.

import type { Timing } from "../tuning/file.ts";

/** Gains below this share are not worth a line in a file. */
const LEAST_GAIN = 0.01;

/** @param microseconds of repeated measurements. */
export function timingOf(microseconds: readonly number[]): Timing {
  const sorted = [...microseconds].sort((a, b) => a - b);
  return { median: rounded(quantile(sorted, 0.5)), spread: rounded(quantile(sorted, 0.75) - quantile(sorted, 0.25)) };
}

/** Whether the gain exceeds the noise: the spread of single measurements, which is wider than the error of their median. */
export function isFaster(challenger: Timing, current: Timing): boolean {
  const noise = Math.max(challenger.spread, current.spread, current.median * LEAST_GAIN);
  return current.median - challenger.median > noise;
}

/** A time for people. */
export function formatTime(microseconds: number): string {
  // What rounds to 1000 is one of the next unit.
  return microseconds < 999.5 ? `${microseconds.toPrecision(3)} µs` : `${(microseconds / 1000).toPrecision(3)} ms`;
}

/** Between neighbours, linearly. */
function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const [lower, upper] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return lower + (upper - lower) * (at % 1);
}

/** To a nanosecond. */
function rounded(microseconds: number): number {
  return Math.round(microseconds * 1000) / 1000;
}
