// Which device profiles a compile is for, from the targets and the profiles that were named.

import { HireError } from "../runtime/errors.ts";
import type { Target } from "../runtime/plan.ts";
import { ALL_PROFILES, OUTPUT_TARGETS, type OutputTarget, PROFILES, type Profile } from "./profiles.ts";

export interface Wanted {
  readonly targets?: readonly OutputTarget[];
  readonly profiles?: readonly string[];
}

/**
 * @throws HireError HIRE-PLAN-004 for a target or profile that does not exist, for none, and for targets and profiles
 * that do not go together: nothing that was asked for is left out unsaid.
 */
export function pickProfiles({ targets: wanted, profiles }: Wanted): readonly Profile[] {
  refuseUnknown("target", OUTPUT_TARGETS, wanted);
  // The package for PyTorch launches the kernels of CUDA's profiles.
  const targets = wanted?.map((target): Target => (target === "torch" ? "cuda" : target));
  const offered = targets ? ALL_PROFILES.filter(({ target }) => targets.includes(target)) : ALL_PROFILES;
  if (profiles === undefined) return targets ? offered : PROFILES.wgsl;
  refuseUnknown(
    "device profile",
    ALL_PROFILES.map(({ name }) => name),
    profiles,
  );
  const picked = ALL_PROFILES.filter(({ name }) => profiles.includes(name));
  for (const { name, target } of picked) {
    if (targets && !targets.includes(target)) {
      throw refusal(`Profile "${name}" is of target ${target}, which is not named`, `Add target ${target}`);
    }
  }
  for (const target of targets ?? []) {
    if (picked.some((profile) => profile.target === target)) continue;
    const names = offered.filter((profile) => profile.target === target).map(({ name }) => name);
    throw refusal(`No profile of target ${target} is named`, `Add one of: ${names.join(", ")}`);
  }
  return picked;
}

function refuseUnknown(what: string, offered: readonly string[], names: readonly string[] | undefined): void {
  if (names === undefined) return;
  for (const name of names.length === 0 ? [undefined] : names) {
    if (name !== undefined && offered.includes(name)) continue;
    const message = name === undefined ? `No ${what} is named` : `There is no ${what} "${name}"`;
    throw refusal(message, `Use one of: ${offered.join(", ")}`);
  }
}

function refusal(message: string, fix: string): HireError {
  return new HireError({ code: "HIRE-PLAN-004", message, fix });
}
