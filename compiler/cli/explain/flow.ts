// What flows through the kernels of a layer, from the plan of one profile: what pictures of a pipeline show.

import type { BufferPlan, KernelPlan, LayerProgram, Plan } from "../../../runtime/plan.ts";
import type { LayerExplanation } from "./model.ts";
import { percent } from "./model-text.ts";

export interface FlowStep {
  readonly name: string;
  readonly stages: readonly string[];
  /** What it reads of the weights. */
  readonly weights: readonly FlowBytes[];
  /** What it reads of the run's inputs, besides what the step before wrote. */
  readonly inputs: readonly FlowBytes[];
  /** What it leaves for steps behind it, or as results. */
  readonly writes: FlowBytes;
  /** What there is to say of what it wrote. */
  readonly note?: string;
  /** Whether it runs only for tokens of which a proof failed. */
  readonly rare: boolean;
}

export interface FlowKernel extends FlowStep {
  readonly kernel: KernelPlan;
}

export interface FlowBytes {
  readonly what: string;
  /** Per launch, of the whole batch. */
  readonly bytes: number;
  /** Of so many in all, where not everything is read. */
  readonly of?: number;
}

/** Buffers of weights, by their names; all others are parts of the scored copy. */
const NAMES: Readonly<Record<string, string>> = {
  weights: "weights",
  basis: "basis",
  basis_scales: "basis",
  exact: "exact rows",
  bundles: "exact bundles",
  bias: "bias",
  up_bias: "bias",
  down_bias: "bias",
};

/** Kernels of a layer in launch order: those of every kind of shard, then those behind the exchange. */
export function layerKernels(plan: Plan, profile: string, layer: string): readonly KernelPlan[] {
  const parts = (plan.shards?.parts ?? []).map((part) => part.programs[profile]?.[layer]);
  return [...parts, programOf(plan, profile, layer)].flatMap((program) => program?.kernels ?? []);
}

/** Of a sharded layer: what the first shard does, which has as many rows as any, and what follows the exchange. */
export function flowOf(plan: Plan, profile: string, explained: LayerExplanation): readonly FlowKernel[] {
  const { layer } = explained;
  const part = explained.shards && plan.shards?.parts[0];
  const steps = [part?.programs[profile]?.[layer], programOf(plan, profile, layer)].filter(
    (each) => each !== undefined,
  );
  return steps.flatMap((program) => program.kernels.map((kernel) => flowKernel(kernel, program, explained)));
}

function programOf({ programs }: Plan, profile: string, layer: string): LayerProgram | undefined {
  return programs.find((program) => program.profile === profile)?.layers[layer];
}

function flowKernel(kernel: KernelPlan, { buffers, kernels }: LayerProgram, explained: LayerExplanation): FlowKernel {
  const bound = kernel.bindings.flatMap(({ name, buffer = name, access }) =>
    buffers.filter((each) => each.name === buffer).map((each) => ({ ...each, writes: access === "read_write" })),
  );
  const written = bound.filter(({ writes }) => writes);
  const rare = kernel.stages.some((stage) => stage.startsWith("fallback"));
  const note = noteOn(kernel, explained);
  return {
    kernel,
    name: kernel.file.split(".").at(-2)!,
    stages: kernel.stages,
    weights: joined(
      bound.filter(({ role }) => role === "weight").map((buffer) => weightBytes(buffer, explained, rare)),
    ),
    inputs: bound
      .filter(({ role, name }) => role === "input" && (name !== "x" || kernel === kernels[0]))
      .map(({ name, bytes }) => ({ what: name === "x" ? tokens(kernel, explained) : name, bytes })),
    writes: {
      what: shortened(written.map(({ name }) => name)),
      bytes: written.reduce((sum, { bytes }) => sum + bytes, 0),
    },
    ...(note && { note }),
    rare,
  };
}

/** Before a merge the "tokens" are what all shards sent. */
function tokens({ stages }: KernelPlan, { batch }: LayerExplanation): string {
  if (stages.includes("merge")) return "sent pairs";
  return batch === 1 ? "token x" : `${batch} tokens x`;
}

function weightBytes({ name, bytes }: BufferPlan, { reads }: LayerExplanation, rare: boolean): FlowBytes {
  const what = NAMES[name] ?? "scored copy";
  if (name !== "exact" && name !== "bundles") return { what, bytes };
  if (rare) return { what: "all exact rows", bytes };
  return { what, bytes: reads.at(-1)!.rescore, of: bytes };
}

/** Parts of one thing as one. */
function joined(parts: readonly FlowBytes[]): FlowBytes[] {
  const whole = new Map<string, FlowBytes>();
  for (const part of parts) {
    const before = whole.get(part.what);
    whole.set(part.what, before ? { ...before, bytes: before.bytes + part.bytes } : part);
  }
  return [...whole.values()];
}

/** Of many names the first. */
function shortened(names: readonly string[]): string {
  const all = names.join(", ");
  return all.length <= 24 ? all : `${names[0]} and ${names.length - 1} more`;
}

function noteOn({ stages }: KernelPlan, explained: LayerExplanation): string | undefined {
  const { selection, candidates, estimator, shards, k, kind } = explained;
  const what = estimator.kind === "dense" ? "scores" : "estimates";
  if (stages.includes("select rows")) {
    const { recallOfCandidates } = selection;
    if (recallOfCandidates === 1) return `all of the ${candidates} best ${what}`;
    return `${percent(recallOfCandidates)} of the ${candidates} best, predicted`;
  }
  if (shards && stages.includes("send")) {
    return `again for ${percent(shards.resend)} of tokens`;
  }
  if (shards && kind === "ffn" && stages.includes("reduce")) {
    return `summed: ${percent(shards.recall)} of the ${k} best`;
  }
  return undefined;
}
