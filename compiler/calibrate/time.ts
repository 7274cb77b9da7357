// Times of settings on a device: each is compiled, packed and run as it would be, with one launch of the layer's batch.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLayers, type RunDevice } from "../../runtime/node/open-layers.ts";
import { packModel } from "../../runtime/node/pack-file.ts";
import { emit } from "../emit.ts";
import type { CheckedLayer, CheckedModel } from "../model.ts";
import { pickProfiles } from "../pick-profiles.ts";
import type { OutputTarget } from "../profiles.ts";
import { measured } from "./bound.ts";
import { withSetting } from "./grid.ts";
import type { Calibration, LayerCalibration, SettingResult } from "./result.ts";

export interface TimeOptions {
  readonly device: RunDevice;
  readonly targets: readonly OutputTarget[];
  readonly weights: readonly string[];
  readonly activations: readonly string[];
}

/** Settings of the front that are timed, from the cheapest on that reaches the target. */
const FRONT = 4;

/** Launches that are measured, after some that warm up. */
const [WARM_UP, LAUNCHES] = [3, 15];

/** @returns the same with times of what is proposed, of what the spec says, of some of the front, and of the dense layer. */
export async function timeCalibration(
  model: CheckedModel,
  result: Calibration,
  options: TimeOptions,
): Promise<Calibration> {
  const folder = await mkdtemp(join(tmpdir(), "hirec-time-"));
  try {
    const layers: LayerCalibration[] = [];
    for (const each of result.layers) {
      const layer = model.layers.find(({ name }) => name === each.layer)!;
      const dense = { ...layer, estimator: { kind: "dense" }, candidates: layer.k, select: { kind: "exact" } } as const;
      const denseMilliseconds = await timeOf(model, { ...dense, certify: "off" }, folder, options);
      const wanted = new Set(timedPlaces(each, result.target));
      const settings: SettingResult[] = [];
      for (const [place, setting] of each.settings.entries()) {
        if (!wanted.has(place)) settings.push(setting);
        else {
          const milliseconds = await timeOf(model, withSetting(layer, setting), folder, options);
          settings.push({ ...setting, milliseconds });
        }
      }
      layers.push({ ...each, settings, denseMilliseconds });
    }
    return { ...result, layers };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function timedPlaces({ settings, proposal, current }: LayerCalibration, target: Calibration["target"]): number[] {
  const reaching = [...settings.keys()].filter(
    (place) => settings[place]!.front && measured(target, settings[place]!.calibration) >= target.value,
  );
  return [proposal, current, ...reaching.slice(0, FRONT)].filter((place) => place !== undefined);
}

/** Milliseconds of one launch with its tokens going in and its results coming out, the median; of a layer over shards, whole. */
async function timeOf(
  model: CheckedModel,
  { shards: _, ...layer }: CheckedLayer,
  folder: string,
  { device, targets, weights, activations }: TimeOptions,
): Promise<number> {
  const { plan, files } = emit({ ...model, layers: [layer] }, pickProfiles({ targets }), targets);
  const pack = join(folder, "timed.pack");
  await packModel(plan, weights, pack, { activations });
  const { layers, close } = await openLayers({ plan, sources: Object.fromEntries(files) }, [layer.name], {
    pack,
    device,
  });
  try {
    const x = Float32Array.from({ length: layer.batch * layer.inputs }, (_, i) => Math.sin(i));
    const given = layer.options.sampler === "multinomial" ? { uniforms: new Float32Array(layer.batch) } : {};
    const times: number[] = [];
    for (let launch = 0; launch < WARM_UP + LAUNCHES; launch++) {
      const started = performance.now();
      await layers[layer.name]!.run(x, given);
      if (launch >= WARM_UP) times.push(performance.now() - started);
    }
    return times.sort((a, b) => a - b)[LAUNCHES >> 1]!;
  } finally {
    close();
  }
}
