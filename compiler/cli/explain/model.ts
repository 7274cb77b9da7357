// What a plan means, per layer and as data: what is read against the dense layer, what it needs, what it promises.

import { weightTensors } from "../../../runtime/pack/weight-tensors.ts";
import type {
  CrossoverPlan,
  EstimatorPlan,
  FfnPlan,
  KernelPlan,
  LayerPlan,
  LayerProgram,
  Plan,
  Program,
  SelectionPlan,
  ShardingPlan,
  TuningPlan,
} from "../../../runtime/plan.ts";
import { type Reads, readsOf } from "../../reads.ts";

import { type CertificateExplanation, explainCertificate } from "./certificate.ts";
import { explainOptions } from "./options.ts";

export interface ModelExplanation {
  readonly model: string;
  readonly spec: string;
  readonly layers: readonly LayerExplanation[];
}

export interface LayerExplanation {
  readonly layer: string;
  readonly kind: LayerPlan["kind"];
  readonly inputs: number;
  readonly rows: number;
  /** Of a feed-forward. */
  readonly outputs?: number;
  readonly gated?: boolean;
  readonly group?: FfnPlan["group"];
  readonly dtype: LayerPlan["dtype"];
  /** Names of the tensors in the weights file. */
  readonly weights: readonly string[];
  /** What the layer does besides, in words. */
  readonly options: readonly string[];
  readonly k: number;
  readonly candidates: number;
  readonly batch: number;
  readonly estimator: EstimatorPlan;
  /** Bits that the scored copy holds per weight, with scales and padding. */
  readonly scoredBitsPerWeight: number;
  readonly selection: SelectionPlan & {
    /** Rows, or groups, per token that survive the first stage, at most. */
    readonly survivors: number;
  };
  /** Absent when the layer is not certified. */
  readonly certificate?: CertificateExplanation;
  /** Absent where no batch reads as many bytes as the dense path does. */
  readonly crossover?: CrossoverPlan;
  /** Absent where the layer is whole. */
  readonly shards?: ShardsExplanation;
  /** At batch 1 and at the layer's batch. */
  readonly reads: readonly Reads[];
  /** Bytes of the packed tensors, all of which lie on the device; of a sharded layer those of one shard. */
  readonly weightBytes: number;
  readonly programs: readonly ProgramExplanation[];
}

/** How a layer is spread, and what is exchanged per token. */
export interface ShardsExplanation extends ShardingPlan {
  /** Rows or groups of the largest shard. */
  readonly largest: number;
  /** Bytes that a shard receives per token, those of a second exchange weighted by its odds. */
  readonly bytesPerToken: number;
  /** Bytes that it would receive of all scores as f32, or of a feed-forward the same as without selection. */
  readonly denseBytesPerToken: number;
}

export interface ProgramExplanation {
  readonly profile: string;
  readonly target: Program["target"];
  readonly scratchBytes: number;
  readonly inputBytes: number;
  readonly outputBytes: number;
  /** Knobs that measuring chose; absent where all are at their defaults. */
  readonly tuning?: TuningPlan;
  /** In launch order. */
  readonly kernels: readonly Pick<
    KernelPlan,
    "name" | "file" | "stages" | "launches" | "workgroupSize" | "workgroupBytes" | "resources"
  >[];
}

export function explainModel(plan: Plan): ModelExplanation {
  const layers = Object.entries(plan.layers).map(([name, layer]) => explainLayer(name, layer, plan));
  return { model: plan.model, spec: plan.spec, layers };
}

function explainLayer(name: string, layer: LayerPlan, { programs, shards }: Plan): LayerExplanation {
  const { kind, inputs, rows, dtype, k, candidates, batch } = layer;
  // What a device does of a sharded layer is what the first shard does, which has as many rows as any.
  const part = layer.sharding && shards?.parts[0];
  const own = part?.layers[name] ?? layer;
  const { estimator, selection, bytes } = own;
  const certificate = layer.kind === "softmax" ? explainCertificate(layer) : undefined;
  return {
    layer: name,
    kind,
    inputs,
    rows,
    ...(layer.kind === "ffn" && { outputs: layer.outputs, gated: layer.gated, group: layer.group }),
    dtype,
    weights: weightTensors(layer).map((tensor) => tensor.name),
    options: explainOptions(layer),
    k,
    candidates,
    batch,
    estimator,
    scoredBitsPerWeight: (bytes.score * 8) / (scoredRows(own) * inputs),
    selection: { ...selection, survivors: Math.min(choices(own), selection.buckets * selection.keep) },
    ...(certificate && { certificate }),
    ...(layer.crossover && { crossover: layer.crossover }),
    ...(layer.sharding && { shards: explainShards(layer, layer.sharding) }),
    reads: [...new Set([1, batch])].map((tokens) => readsOf(own, tokens)),
    weightBytes: own.tensors.reduce((sum, tensor) => sum + tensor.bytes, 0),
    programs: programs.map((program) =>
      explainProgram(program, [part?.programs[program.profile]?.[name], program.layers[name]]),
    ),
  };
}

/** A pair is 8 bytes, and one more goes with the rows: the bound of all others. */
function explainShards(layer: LayerPlan, sharding: ShardingPlan): ShardsExplanation {
  const { count, sent, offered, resend } = sharding;
  const all = layer.kind === "ffn" ? layer.group.count : layer.rows;
  const isHead = layer.kind === "softmax";
  const exchanged = 8 * count * (1 + sent + resend * (1 + offered));
  return {
    ...sharding,
    largest: Math.ceil(all / count),
    bytesPerToken: isHead ? exchanged : layer.outputs * 4,
    denseBytesPerToken: isHead ? layer.rows * 4 : layer.outputs * 4,
  };
}

/** What is selected from. */
function choices({ rows, group }: LayerPlan): number {
  return group ? group.count - group.common : rows;
}

function scoredRows({ rows, group }: LayerPlan): number {
  return group ? rows - group.common * group.size : rows;
}

function explainProgram(
  { profile, target }: Program,
  parts: readonly (LayerProgram | undefined)[],
): ProgramExplanation {
  const buffers = parts.flatMap((part) => part?.buffers ?? []);
  const kernels = parts.flatMap((part) => part?.kernels ?? []);
  const tuning = parts.find((part) => part?.tuning)?.tuning;
  const bytesOf = (wanted: string) => buffers.reduce((sum, { role, bytes }) => sum + (role === wanted ? bytes : 0), 0);
  return {
    profile,
    target,
    scratchBytes: bytesOf("scratch"),
    inputBytes: bytesOf("input"),
    outputBytes: bytesOf("output"),
    ...(tuning && { tuning }),
    kernels: kernels.map(({ name, file, stages, launches, workgroupSize, workgroupBytes, resources }) => ({
      name,
      file,
      stages,
      launches,
      workgroupSize,
      workgroupBytes,
      ...(resources && { resources }),
    })),
  };
}
