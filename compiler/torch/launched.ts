// What the processes of a package launch: layers, or where a layer is over shards, the parts of it and their merge.

import { PAIR_WORDS } from "../../runtime/collective/pairs.ts";
import type { BufferPlan, CudaProgram, LayerPlan, LayerProgram, Plan } from "../../runtime/plan.ts";

export interface Launched {
  /** Of the operator. */
  readonly name: string;
  readonly kind: LayerPlan["kind"] | "merge";
  readonly layer: LayerPlan;
  readonly inputs: number;
  /** From the most demanding one on. */
  readonly programs: readonly { readonly architecture: number; readonly program: LayerProgram }[];
}

function cudaPrograms({ programs }: Plan): CudaProgram[] {
  return programs.filter((program): program is CudaProgram => program.target === "cuda");
}

/** A layer that is not over shards. */
export function launchedLayer(plan: Plan, name: string): Launched {
  const layer = plan.layers[name]!;
  return {
    name,
    kind: layer.kind,
    layer,
    inputs: layer.inputs,
    programs: programsOf(plan, ({ layers }) => layers[name]!),
  };
}

/** What each shard computes of a layer, the same object where it is the same; nothing of one that has no rows. */
export function launchedParts(plan: Plan, name: string): (Launched | undefined)[] {
  const { shards, parts } = plan.shards!;
  const known = new Map<string, Launched>();
  return shards.map(({ part }, shard) => {
    const { layers, programs } = parts[part]!;
    const layer = layers[name];
    if (!layer) return undefined;
    const ofProfile = programsOf(plan, ({ profile }) => programs[profile]![name]!);
    const own = { kind: layer.kind, layer, inputs: layer.inputs, programs: ofProfile };
    const key = JSON.stringify(own);
    // As its kernels are, it is named after the first shard that has it.
    if (!known.has(key)) known.set(key, { name: `${name}_shard${shard}`, ...own });
    return known.get(key);
  });
}

/** The merge of a head over shards, which takes what all of them sent of a token as one row. No layer can have its name. */
export function launchedMerge(plan: Plan, name: string): Launched | undefined {
  const layer = plan.layers[name]!;
  if (layer.kind !== "softmax") return undefined;
  const { count, offered } = layer.sharding!;
  return {
    ...launchedLayer(plan, name),
    name: `${name}__merge`,
    kind: "merge",
    inputs: count * (1 + offered) * PAIR_WORDS,
  };
}

/** The buffers that a layer returns, in order; what it returns over shards is made of what the merge returns. */
export function returnsOf(plan: Plan, name: string): readonly BufferPlan[] {
  const layer = plan.layers[name]!;
  if (!layer.sharding) return outputsOf(launchedLayer(plan, name));
  if (layer.kind === "ffn") {
    const { batch, outputs, sharding } = layer;
    return [
      { name: "output", role: "output", bytes: batch * outputs * 4 },
      { name: "groups", role: "output", bytes: batch * sharding.keep * 4 },
    ];
  }
  return outputsOf(launchedMerge(plan, name)!).flatMap((buffer) => {
    if (buffer.name !== "open") return [buffer];
    return layer.certificate ? [{ ...buffer, name: "certified", bytes: layer.batch * 4 }] : [];
  });
}

export function outputsOf({ programs }: Launched): BufferPlan[] {
  return programs[0]!.program.buffers.filter(({ role }) => role === "output");
}

function programsOf(plan: Plan, programOf: (program: CudaProgram) => LayerProgram): Launched["programs"] {
  return cudaPrograms(plan).map((program) => ({
    architecture: Number(program.architecture.replace("sm_", "")),
    program: programOf(program),
  }));
}
