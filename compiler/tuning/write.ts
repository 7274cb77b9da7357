// What was measured, into the tuning file, beside what it holds of other profiles and layers.

import { writeWhole } from "../../runtime/node/write-whole.ts";
import type { CheckedModel } from "../model.ts";
import { ALL_PROFILES } from "../profiles.ts";
import { type ReadTuning, TUNING_FORMAT, type TunedLayer, type TuningFile } from "./file.ts";

/**
 * Profiles and layers that there are no longer are left out; all stand in the order of profiles and of the spec.
 * @param before what the file holds.
 * @throws HireError HIRE-RUN-009 when the file cannot be written; it is then as it was.
 */
export async function writeTuning(
  path: string,
  before: ReadTuning | undefined,
  { layers }: CheckedModel,
  profile: string,
  tuned: Readonly<Record<string, TunedLayer>>,
): Promise<void> {
  const known = before?.file.profiles ?? {};
  const profiles = ALL_PROFILES.flatMap(({ name }) => {
    const entries = { ...known[name], ...(name === profile && tuned) };
    const present = layers.flatMap((layer) => {
      const entry = entries[layer.name];
      return entry ? [[layer.name, entry] as const] : [];
    });
    return present.length > 0 ? [[name, Object.fromEntries(present)] as const] : [];
  });
  const file: TuningFile = { format: TUNING_FORMAT, profiles: Object.fromEntries(profiles) };
  await writeWhole(path, "HIRE-RUN-009", async (handle) => {
    await handle.writeFile(`${JSON.stringify(file, null, 2)}\n`);
  });
}
