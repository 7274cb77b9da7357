// How long participants wait for each other.

import { HireError } from "../errors.ts";

export interface CollectiveOptions {
  /** Seconds that a call waits for the other participants. */
  readonly deadline?: number;
}

export const DEADLINE_SECONDS = 30;

/**
 * The deadline of processes.
 * @throws HireError HIRE-RUN-014 unless HIREC_COLLECTIVE_DEADLINE is unset or a number of seconds above 0.
 */
export function deadlineOf({ HIREC_COLLECTIVE_DEADLINE: text }: NodeJS.ProcessEnv): number {
  if (!text) return DEADLINE_SECONDS;
  if (Number(text) > 0) return Number(text);
  throw new HireError({
    code: "HIRE-RUN-014",
    message: `HIREC_COLLECTIVE_DEADLINE is "${text}", which is no number of seconds above 0`,
    fix: "Set it to the seconds that a rank may wait for the others, such as 30",
  });
}

/** For timers, which take 31 bits: what exceeds them would fire at once. */
export function milliseconds(seconds: number): number {
  return Math.min(seconds * 1000, 2 ** 31 - 1);
}
