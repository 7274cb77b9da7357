// Which settings are worth a look, and which one is proposed.

import { lowerBound, measured } from "./bound.ts";
import type { LayerCalibration, SettingResult, Target } from "./result.ts";

/** Cheapest first, with bounds and the front marked. @param settings without both. */
export function rankSettings(
  settings: readonly Omit<SettingResult, "bound" | "front">[],
  target: Target,
  k: number,
): SettingResult[] {
  const sorted = settings
    .map((each) => ({ ...each, bound: lowerBound(target, each.heldOut, k), front: false }))
    .sort((a, b) => a.cost - b.cost || measured(target, b.calibration) - measured(target, a.calibration));
  let most = Number.NEGATIVE_INFINITY;
  return sorted.map((each) => {
    const share = measured(target, each.calibration);
    const front = share > most;
    most = Math.max(most, share);
    return { ...each, front };
  });
}

/**
 * The cheapest setting that reaches the target on the calibration part, and whose bound reaches it on the held-out part.
 * @param layers that one call of the spec writes, and which therefore get one setting; mostly one.
 * @param compiles whether a layer, by its number, can be compiled so.
 * @returns the place of it in each layer's settings; nothing when there is none.
 */
export function choose(
  layers: readonly Pick<LayerCalibration, "settings">[],
  target: Target,
  compiles: (layer: number, setting: SettingResult) => boolean = () => true,
): number[] | undefined {
  const [first] = layers;
  for (const setting of first!.settings) {
    const places = layers.map(({ settings }) => settings.findIndex((each) => isSame(each, setting)));
    const reaches = places.every((place, i) => {
      const found = layers[i]!.settings[place];
      return found && measured(target, found.calibration) >= target.value && found.bound >= target.value;
    });
    if (reaches && places.every((place, i) => compiles(i, layers[i]!.settings[place]!))) return places;
  }
  return undefined;
}

/** The place of the setting with the highest bound, the cheapest of those. */
export function bestReachable(settings: readonly SettingResult[]): number | undefined {
  let best: number | undefined;
  settings.forEach(({ bound }, i) => {
    if (best === undefined || bound > settings[best]!.bound) best = i;
  });
  return best;
}

export function isSame(a: SettingResult, b: SettingResult): boolean {
  const key = ({ estimator, candidates, select }: SettingResult) => JSON.stringify({ estimator, candidates, select });
  return key(a) === key(b);
}
