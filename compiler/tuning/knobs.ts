// The knobs of a schedule: numbers that change neither pack nor result, and whose best value only a device knows. A value is
// legal when the schedule, asked for it, does it; so what a schedule cannot do needs no rule of its own here.

import { HireError } from "../../runtime/errors.ts";
import type { KernelPlan, LayerProgram, Target, TuningPlan } from "../../runtime/plan.ts";
import type { FusedKernel } from "../fuse.ts";
import { type PlannedLayer, planLayerProgram } from "../plan-layers.ts";
import type { Profile } from "../profiles.ts";

export type KnobName = keyof TuningPlan;
export type KnobValue = NonNullable<TuningPlan[KnobName]>;

export interface Knob {
  readonly targets: readonly Target[];
  /** The kernels that have it. */
  readonly template: FusedKernel["template"];
  /** What it counts. */
  readonly what: string;
  /** What decides its value as long as nobody measures. */
  readonly byDefault: string;
  /** Worth a try, besides the default. */
  readonly values: readonly KnobValue[];
  /** The value that a scheduled kernel has; none where a kernel of that template does without. */
  readonly of: (kernel: KernelPlan) => KnobValue | undefined;
}

/** In the order in which they are measured. */
export const KNOBS: { readonly [Name in KnobName]-?: Knob } = {
  projectLanes: {
    targets: ["wgsl", "cuda"],
    template: "project",
    what: "threads that share a row of the basis",
    byDefault: "64: two chunks of 16 bytes for each at 2048 inputs",
    values: [64, 128, 256],
    of: ({ workgroupSize }) => workgroupSize,
  },
  splits: {
    targets: ["cuda"],
    template: "score_select",
    what: "threads that share a row",
    byDefault: "as many as it takes to have 512 threads on each of 128 multiprocessors, at most 8",
    values: [1, 2, 4, 8],
    of: ({ constants, choices }) => (choices.statistical ? undefined : (constants.SPLITS ?? 1)),
  },
  residentThreads: {
    targets: ["cuda"],
    template: "score_select",
    what: "threads that a multiprocessor must be able to hold, which divide its registers",
    byDefault: "512, which leaves a thread 128 registers; 256 for kernels that need more",
    values: [256, 512, 1024, 2048],
    of: ({ workgroupSize, constants }) => workgroupSize * constants.BLOCKS_PER_MULTIPROCESSOR!,
  },
  rescoreParts: {
    targets: ["cuda"],
    template: "rescore_topk",
    what: "blocks that share the exact rows of a token",
    byDefault:
      "one for 16 KiB of them, at most as many as 128 multiprocessors have for each token, or as warps have rows",
    values: [1, 2, 4, 8, 16, 32],
    of: ({ constants, choices }) => (choices.rescores ? (constants.PARTS ?? 1) : undefined),
  },
  rescoreLanesPerRow: {
    targets: ["wgsl"],
    template: "rescore_topk",
    what: "lanes that share an exact row where there are no subgroups",
    byDefault: "8: together they read lines of 128 bytes",
    values: [4, 8, 16, 32],
    of: ({ constants }) => constants.LANES_PER_ROW,
  },
  gatherLanes: {
    targets: ["wgsl"],
    template: "gather",
    what: "invocations that share a group of neurons",
    byDefault: "256, the most that every device has",
    values: [64, 128, 256],
    of: ({ workgroupSize }) => workgroupSize,
  },
};

export const KNOB_NAMES = Object.keys(KNOBS) as readonly KnobName[];

/** The values of all knobs that a scheduled layer has. */
export function knobsOf({ kernels }: LayerProgram, { target }: Profile): TuningPlan {
  const values = KNOB_NAMES.flatMap((name) => {
    const { targets, template, of } = KNOBS[name];
    if (!targets.includes(target)) return [];
    const found = kernels.filter((kernel) => kernel.template === template).map(of);
    const value = found.find((each) => each !== undefined);
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(values);
}

/** What a knob may be set to, in order, its default among it; nothing where the layer has no such knob. */
export function offeredValues(layer: PlannedLayer, profile: Profile, name: KnobName): readonly KnobValue[] {
  const usual = knobsOf(planLayerProgram(layer, profile), profile)[name];
  if (usual === undefined) return [];
  return [...new Set([usual, ...KNOBS[name].values])].sort((a, b) => Number(a) - Number(b));
}

/** The program of a layer with knobs turned; nothing where the schedule cannot do just that. */
export function turned(layer: PlannedLayer, profile: Profile, tuning: TuningPlan): LayerProgram | undefined {
  const names = KNOB_NAMES.filter((name) => tuning[name] !== undefined);
  if (!names.every((name) => offeredValues(layer, profile, name).includes(tuning[name]!))) return undefined;
  try {
    const program = planLayerProgram(layer, profile, tuning);
    const found = knobsOf(program, profile);
    return names.every((name) => tuning[name] === found[name]) ? program : undefined;
  } catch (thrown) {
    // It needs more than the profile has.
    if (thrown instanceof HireError) return undefined;
    throw thrown;
  }
}

/** Those of the offered values that a knob may have while the others are at their defaults. */
export function legalValues(layer: PlannedLayer, profile: Profile, name: KnobName): readonly KnobValue[] {
  return offeredValues(layer, profile, name).filter((value) => turned(layer, profile, { [name]: value }));
}
