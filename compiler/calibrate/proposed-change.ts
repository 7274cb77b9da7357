// What a calibration changes of a layer.

import type { LayerCalibration, Setting } from "./result.ts";

/** Empty where the spec says what is proposed already, and where nothing is. */
export function proposedChange({ settings, proposal, current, shards }: LayerCalibration): Partial<Setting> {
  const proposed = proposal === undefined || proposal === current ? undefined : settings[proposal]!;
  const change = shards?.proposal?.change ?? {};
  return {
    ...(proposed && { estimator: proposed.estimator, candidates: proposed.candidates, select: proposed.select }),
    ...(Object.keys(change).length > 0 && { shards: change }),
  };
}
