// hirec tune: the schedules that a spec allows, measured on the device that is here.

import { HireError } from "../../runtime/errors.ts";
import { requireLayer } from "../../runtime/model.ts";
import { requestNodeDevice } from "../../runtime/node/device.ts";
import { openPack } from "../../runtime/node/pack-file.ts";
import type { TuningPlan } from "../../runtime/plan.ts";
import { emit } from "../emit.ts";
import type { CheckedModel } from "../model.ts";
import { planLayers } from "../plan-layers.ts";
import { PROFILES, type Profile } from "../profiles.ts";
import { type Comparison, planHash, type TunedLayer } from "../tuning/file.ts";
import { wordsOf } from "../tuning/words.ts";
import { openTuneCuda } from "./on-cuda.ts";
import { tuneOnWebgpu } from "./on-webgpu.ts";
import { DEVICE_TIME, type Stopwatch } from "./race.ts";
import { randomWeights } from "./random-layer.ts";
import { isSame, stepsOf } from "./steps.ts";
import { formatTime } from "./timing.ts";
import type { TuneDevice } from "./tune-device.ts";
import { tuneLayer } from "./tune-layer.ts";

export interface TuneOptions {
  /** `auto` takes CUDA where there is a card, else a GPU through WebGPU: what the software adapter likes, no GPU does. */
  readonly device: "auto" | "cuda" | "webgpu" | "software";
  readonly profile?: string;
  /** Only this layer. */
  readonly layer?: string;
  /** A pack of the model; otherwise weights are random. */
  readonly pack?: string;
  /** Called with the schedules that were tried, and all that there are. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly stopwatch?: Stopwatch;
}

export interface TuneSummary {
  readonly device: string;
  readonly kind: TuneDevice["kind"];
  readonly profile: string;
  /** By layer; those that have no knobs are absent. */
  readonly layers: Readonly<Record<string, TunedLayer>>;
}

/** @throws HireError of the families HIRE-PLAN, HIRE-PACK and HIRE-RUN. */
export async function tune(model: CheckedModel, options: TuneOptions): Promise<TuneSummary> {
  const device = await openDevice(options.device);
  try {
    const profiles: readonly Profile[] = PROFILES[device.target];
    const { plan } = emit(model, profiles);
    const name = device.pickProfile(plan, options.profile);
    if (options.layer !== undefined) requireLayer(plan, options.layer);
    const pack = options.pack === undefined ? undefined : await openPack(options.pack, plan);
    const profile = profiles.find((each) => each.name === name)!;
    const wanted = planLayers(model).filter(({ layer }) => layer.name === (options.layer ?? layer.name));
    const searches = wanted
      .map((layer) => ({ layer, steps: stepsOf(layer, profile) }))
      .filter(({ steps }) => steps.length > 0);
    // What wins is measured once more.
    const total = searches.reduce((sum, { steps }) => sum + steps.reduce((n, step) => n + step({}).length, 1), 0);
    let done = 0;
    options.onProgress?.(done, total);
    const onTried = () => options.onProgress?.(Math.min(++done, total), total);
    try {
      const layers: Record<string, TunedLayer> = {};
      const { stopwatch = DEVICE_TIME } = options;
      for (const { layer, steps } of searches) {
        const weights = pack?.weights ?? randomWeights(layer.plan);
        const { knobs, measured } = await tuneLayer({
          ...{ device, model, layer, profile, weights, steps, stopwatch, onTried },
        });
        layers[layer.layer.name] = {
          plan: planHash(layer.plan),
          knobs,
          reason: reasonFor(knobs, measured),
          device: device.description,
          date: new Date().toISOString().slice(0, 10),
          measured,
        };
      }
      return { device: device.description, kind: device.kind, profile: name, layers };
    } finally {
      await pack?.close();
    }
  } finally {
    device.close();
  }
}

/** What `auto` takes for an answer: no CUDA device, or no koffi. */
const NO_CUDA: ReadonlySet<string> = new Set(["HIRE-RUN-001", "HIRE-RUN-007"]);

async function openDevice(device: TuneOptions["device"]): Promise<TuneDevice> {
  if (device === "cuda") return openTuneCuda();
  if (device !== "auto") return tuneOnWebgpu(await requestNodeDevice(device));
  return openTuneCuda().catch(async (thrown) => {
    if (thrown instanceof HireError && NO_CUDA.has(thrown.code)) return tuneOnWebgpu(await requestNodeDevice("webgpu"));
    throw thrown;
  });
}

/** Why these knobs and no others, in words. */
function reasonFor(knobs: TuningPlan, measured: readonly Comparison[]): string {
  const timed = measured.filter(({ time }) => time !== undefined);
  const last = timed.at(-1);
  if (!last) return "None but the default could be measured";
  const [time, usual] = [last.time!, last.timeAgainst!];
  const times = `${formatTime(time.median)}, by default ${formatTime(usual.median)}`;
  if (!isSame(knobs, {})) {
    const less = (100 * (1 - time.median / usual.median)).toFixed(1);
    return `${wordsOf(knobs)}: ${times}, ${less} % less; noise is ${formatTime(Math.max(time.spread, usual.spread))}`;
  }
  if (timed.some(({ verdict }) => verdict === "faster")) {
    return `${wordsOf(last.knobs)} was faster at first, and not when it was measured again: ${times}`;
  }
  return `None of ${timed.length} others is faster than the default, ${formatTime(usual.median)}, by more than the noise`;
}
