// Two loaded schedules, measured in turns: what changes the clock of a card, or who else uses it, changes both.

import type { TuningPlan } from "../../runtime/plan.ts";
import type { Timing } from "../tuning/file.ts";
import { timingOf } from "./timing.ts";
import type { LoadedLayer } from "./tune-device.ts";

/** A schedule on the device. */
export interface Schedule {
  readonly knobs: TuningPlan;
  readonly loaded: LoadedLayer;
}

/** Microseconds of a launch, of so many in a row or some more. */
export type Stopwatch = (schedule: Schedule, launches: number) => Promise<number>;

export const DEVICE_TIME: Stopwatch = ({ loaded }, launches) => loaded.time(launches);

export const ROUNDS = 15;

/** A measurement is so long that clocks which tick every 100 µs, as timestamps of WebGPU may, err by half a percent. */
const MEASUREMENT_MICROSECONDS = 20_000;
const MOST_LAUNCHES = 4096;

export async function race(
  current: Schedule,
  challenger: Schedule,
  stopwatch: Stopwatch,
): Promise<{ readonly current: Timing; readonly challenger: Timing }> {
  const runners = [
    { schedule: current, launches: await enoughLaunches(current, stopwatch), times: [] as number[] },
    { schedule: challenger, launches: await enoughLaunches(challenger, stopwatch), times: [] as number[] },
  ];
  for (let round = 0; round < ROUNDS; round++) {
    for (const { schedule, launches, times } of runners) times.push(await stopwatch(schedule, launches));
    // Each is as often the first.
    runners.reverse();
  }
  const timeOf = (wanted: Schedule) => timingOf(runners.find(({ schedule }) => schedule === wanted)!.times);
  return { current: timeOf(current), challenger: timeOf(challenger) };
}

/** What is tried on the way warms the device up. */
async function enoughLaunches(schedule: Schedule, stopwatch: Stopwatch): Promise<number> {
  let launches = 1;
  for (;;) {
    const microseconds = await stopwatch(schedule, launches);
    if (microseconds * launches >= MEASUREMENT_MICROSECONDS || launches === MOST_LAUNCHES) return launches;
    const wanted = Math.ceil(MEASUREMENT_MICROSECONDS / Math.max(microseconds, 0.001));
    launches = Math.min(MOST_LAUNCHES, Math.max(2 * launches, wanted));
  }
}
