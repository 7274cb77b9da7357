// The search for the fastest schedule of one layer.

import { HireError } from "../../runtime/errors.ts";
import type { LayerResult, WeightSource } from "../../runtime/layer.ts";
import { ffnResult, type LayerOutputs, softmaxResult } from "../../runtime/layer-data.ts";
import type { LayerPlan, TuningPlan } from "../../runtime/plan.ts";
import { emit } from "../emit.ts";
import type { CheckedModel } from "../model.ts";
import type { PlannedLayer } from "../plan-layers.ts";
import type { Profile } from "../profiles.ts";
import type { Comparison } from "../tuning/file.ts";
import { race, type Schedule, type Stopwatch } from "./race.ts";
import { randomInputs } from "./random-layer.ts";
import { findDifference } from "./same-result.ts";
import { isSame, type Step } from "./steps.ts";
import { isFaster } from "./timing.ts";
import type { TuneDevice } from "./tune-device.ts";

export interface LayerSearch {
  readonly device: TuneDevice;
  readonly model: CheckedModel;
  readonly layer: PlannedLayer;
  readonly profile: Profile;
  readonly weights: WeightSource;
  readonly steps: readonly Step[];
  readonly stopwatch: Stopwatch;
  /** Called when something was tried, and in the end. */
  readonly onTried: () => void;
}

export interface Found {
  readonly knobs: TuningPlan;
  readonly measured: readonly Comparison[];
}

/**
 * Takes another schedule only when it returns what the default returns, is faster than the best before by more than the noise,
 * and in the end once more than the default.
 * @throws HireError of the family HIRE-RUN when the default schedule does not run.
 */
export async function tuneLayer(search: LayerSearch): Promise<Found> {
  const measured: Comparison[] = [];
  let best: Schedule = { knobs: {}, loaded: await load(search, {}) };
  try {
    const expected = resultOf(search.layer.plan, await best.loaded.run());
    for (const step of search.steps) {
      for (const knobs of step(best.knobs)) {
        const { comparison, schedule } = await compare(search, best, knobs, expected);
        measured.push(comparison);
        search.onTried();
        const loser = comparison.verdict === "faster" ? best : schedule;
        if (comparison.verdict === "faster") best = schedule!;
        loser?.loaded.destroy();
      }
    }
    // Of many that are equally fast, one is faster by chance.
    const isBetter = !isSame(best.knobs, {}) && (await confirm(search, best, measured));
    search.onTried();
    return { knobs: isBetter ? best.knobs : {}, measured };
  } finally {
    best.loaded.destroy();
  }
}

async function confirm(search: LayerSearch, best: Schedule, measured: Comparison[]): Promise<boolean> {
  const usual: Schedule = { knobs: {}, loaded: await load(search, {}) };
  try {
    const comparison = await raced(usual, best, search.stopwatch);
    measured.push(comparison);
    return comparison.verdict === "faster";
  } finally {
    usual.loaded.destroy();
  }
}

/** What a device may say of a schedule that is not the default, and go on: it refuses a kernel or command, or is full. */
const REFUSALS: ReadonlySet<string> = new Set(["HIRE-RUN-003", "HIRE-RUN-004", "HIRE-RUN-013"]);

async function compare(
  search: LayerSearch,
  best: Schedule,
  knobs: TuningPlan,
  expected: LayerResult,
): Promise<{ readonly comparison: Comparison; readonly schedule?: Schedule }> {
  const against = best.knobs;
  let schedule: Schedule | undefined;
  try {
    schedule = { knobs, loaded: await load(search, knobs) };
    const { plan } = search.layer;
    const difference = findDifference(plan, expected, resultOf(plan, await schedule.loaded.run()));
    if (difference !== undefined) {
      return { comparison: { knobs, against, verdict: "other results", why: difference }, schedule };
    }
    return { comparison: await raced(best, schedule, search.stopwatch), schedule };
  } catch (thrown) {
    schedule?.loaded.destroy();
    if (!(thrown instanceof HireError) || !REFUSALS.has(thrown.code)) throw thrown;
    return { comparison: { knobs, against, verdict: "refused", why: thrown.diagnostics[0]!.message } };
  }
}

async function raced(current: Schedule, challenger: Schedule, stopwatch: Stopwatch): Promise<Comparison> {
  const times = await race(current, challenger, stopwatch);
  return {
    knobs: challenger.knobs,
    against: current.knobs,
    verdict: isFaster(times.challenger, times.current) ? "faster" : "not faster",
    time: times.challenger,
    timeAgainst: times.current,
  };
}

async function load({ device, model, layer, profile, weights }: LayerSearch, knobs: TuningPlan) {
  const { name } = layer.layer;
  const only = { ...model, layers: model.layers.filter((each) => each.name === name) };
  const tunings = isSame(knobs, {}) ? {} : { [profile.name]: { [name]: knobs } };
  const { plan, files } = emit(only, [profile], [], tunings);
  const sources = Object.fromEntries(files);
  return device.load({ plan, sources }, name, weights, randomInputs(name, layer.plan));
}

function resultOf({ kind }: LayerPlan, outputs: LayerOutputs): LayerResult {
  return kind === "softmax" ? softmaxResult(outputs) : ffnResult(outputs);
}
