// How long participants wait for each other.

export interface CollectiveOptions {
  /** Seconds that a call waits for the other participants. */
  readonly deadline?: number;
}

export const DEADLINE_SECONDS = 30;

/** For timers, which take 31 bits: what exceeds them would fire at once. */
export function milliseconds(seconds: number): number {
  return Math.min(seconds * 1000, 2 ** 31 - 1);
}
