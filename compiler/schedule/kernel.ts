// What the plan says of every kernel alike.

import type { BindingPlan, KernelPlan, LaunchPlan, LayerPlan, ScoredPlan } from "../../runtime/plan.ts";
import type { FusedKernel } from "../fuse.ts";
import type { Profile } from "../profiles.ts";

const EXTENSION = { wgsl: "wgsl", cuda: "cu" } as const;

/** Of the cards that the CUDA profiles are for: they have 108 to 148. */
export const MULTIPROCESSORS = 128;

export interface WorkgroupVariable {
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
}

/** Everything that a kernel of a layer is scheduled from. */
export interface Context<Layer extends LayerPlan = LayerPlan> {
  readonly name: string;
  readonly layer: Layer;
  readonly profile: Profile;
  readonly fused: FusedKernel;
  /** Whether `quantize` runs as a kernel of its own. */
  readonly quantizedBefore: boolean;
}

export interface KernelParts {
  readonly stem: string;
  readonly workgroupSize: number;
  readonly launches: readonly LaunchPlan[];
  readonly bindings: readonly BindingPlan[];
  readonly variables: readonly WorkgroupVariable[];
  readonly constants: Readonly<Record<string, number>>;
  readonly choices: Readonly<Record<string, boolean>>;
  readonly functions?: KernelPlan["functions"];
  /**
   * In CUDA, threads that a multiprocessor must be able to hold at a time, by which the compiler divides the registers; left
   * to itself it aims at more and spills. Default: those of one block.
   */
  readonly residentThreads?: number;
}

export function kernel({ name, profile, fused }: Context, parts: KernelParts): KernelPlan {
  return {
    name: `${name}_${parts.stem}`,
    file: `${profile.folder}/${name}.${parts.stem}.${EXTENSION[profile.target]}`,
    template: fused.template,
    stages: fused.stages.map(stageName),
    workgroupSize: parts.workgroupSize,
    launches: parts.launches,
    workgroupBytes: parts.variables.reduce((sum, { bytes }) => sum + alignedBytes(bytes), 0),
    bindings: parts.bindings,
    workgroupVariables: parts.variables,
    constants: {
      ...parts.constants,
      ...(profile.target === "cuda" && {
        BLOCKS_PER_MULTIPROCESSOR: Math.max(1, Math.floor((parts.residentThreads ?? 0) / parts.workgroupSize)),
      }),
    },
    choices: parts.choices,
    ...(parts.functions && { functions: parts.functions }),
  };
}

function stageName(stage: FusedKernel["stages"][number]): string {
  if (stage.op === "select") return `select ${stage.from}`;
  return stage.op === "fallback" ? `fallback ${stage.part}` : stage.op;
}

export function variable(name: string, type: string, bytes: number): WorkgroupVariable {
  return { name, type, bytes };
}

/** What a variable takes: each starts at a multiple of its alignment, 16 bytes at most (WebGPU §23.1 counts it so). */
export function alignedBytes(bytes: number): number {
  return Math.ceil(bytes / 16) * 16;
}

export function array(name: string, element: string, count: number, bytes: number): WorkgroupVariable {
  return { name, type: `array<${element}, ${count}>`, bytes: count * bytes };
}

/** Of the choices that only some layers know, those that a layer makes; absent is false. */
export function made(choices: Readonly<Record<string, boolean | undefined>>): Readonly<Record<string, true>> {
  return Object.fromEntries(Object.keys(choices).flatMap((name) => (choices[name] ? [[name, true as const]] : [])));
}

/** What a kernel that makes values of scores needs for it. */
export function finishing({ transform, temperature }: ScoredPlan) {
  return {
    constants: temperature === undefined ? {} : { TEMPERATURE: temperature },
    ...(transform && { functions: { transform } }),
    choices: {
      finishes: transform !== undefined || temperature !== undefined,
      transforms: transform !== undefined,
      divides: temperature !== undefined,
    },
  };
}

export function samplerConstants({ topK, topP }: ScoredPlan): Readonly<Record<string, number>> {
  return topK === undefined || topP === undefined ? {} : { TOP_K: topK, TOP_P: topP };
}

export function dtypeChoices({ dtype }: ScoredPlan) {
  return { bf16: dtype === "bf16", f16: dtype === "f16", f32: dtype === "f32" };
}
