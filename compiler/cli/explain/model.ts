// What a plan means, per layer and as data: what is read against the dense layer, what it needs, what it promises.

import type { EstimatorPlan, KernelPlan, Plan, Program, SelectionPlan, SoftmaxPlan } from "../../../runtime/plan.ts";

import { type CertificateExplanation, explainCertificate } from "./certificate.ts";

export interface ModelExplanation {
  readonly model: string;
  readonly spec: string;
  readonly layers: readonly LayerExplanation[];
}

export interface LayerExplanation {
  readonly layer: string;
  readonly kind: SoftmaxPlan["kind"];
  readonly inputs: number;
  readonly rows: number;
  readonly dtype: SoftmaxPlan["dtype"];
  /** Name of the tensor in the weights file. */
  readonly weight: string;
  readonly k: number;
  readonly candidates: number;
  readonly batch: number;
  readonly estimator: EstimatorPlan;
  /** Bits that the scored copy holds per weight, with scales and padding. */
  readonly scoredBitsPerWeight: number;
  readonly selection: SelectionPlan & {
    /** Rows per token that survive the first stage, at most. */
    readonly survivors: number;
  };
  /** Absent when the layer is not certified. */
  readonly certificate?: CertificateExplanation;
  /** At batch 1 and at the layer's batch. */
  readonly reads: readonly Reads[];
  /** Bytes of the packed tensors, all of which lie on the device. */
  readonly weightBytes: number;
  readonly programs: readonly ProgramExplanation[];
}

/** Weight bytes that one launch reads. */
export interface Reads {
  readonly batch: number;
  readonly score: number;
  /** Exact rows, when no two tokens share a candidate; fewer otherwise. */
  readonly rescore: number;
  readonly total: number;
  readonly dense: number;
  /** How many times fewer bytes than the dense layer; below 1 it reads more. */
  readonly ratio: number;
}

export interface ProgramExplanation {
  readonly profile: string;
  readonly target: Program["target"];
  readonly scratchBytes: number;
  readonly inputBytes: number;
  readonly outputBytes: number;
  /** In launch order. */
  readonly kernels: readonly Pick<
    KernelPlan,
    "name" | "file" | "stages" | "launches" | "workgroupSize" | "workgroupBytes"
  >[];
}

export function explainModel(plan: Plan): ModelExplanation {
  const layers = Object.entries(plan.layers).map(([name, layer]) => explainLayer(name, layer, plan.programs));
  return { model: plan.model, spec: plan.spec, layers };
}

function explainLayer(name: string, layer: SoftmaxPlan, programs: readonly Program[]): LayerExplanation {
  const { kind, inputs, rows, dtype, weight, k, candidates, batch, estimator, selection, bytes } = layer;
  const certificate = explainCertificate(layer);
  return {
    layer: name,
    kind,
    inputs,
    rows,
    dtype,
    weight,
    k,
    candidates,
    batch,
    estimator,
    scoredBitsPerWeight: (bytes.score * 8) / (rows * inputs),
    selection: { ...selection, survivors: Math.min(rows, selection.buckets * selection.keep) },
    ...(certificate && { certificate }),
    reads: [...new Set([1, batch])].map((tokens) => reads(layer, tokens)),
    weightBytes: layer.tensors.reduce((sum, tensor) => sum + tensor.bytes, 0),
    programs: programs.map((program) => explainProgram(name, program)),
  };
}

function reads({ rows, candidates, bytes }: SoftmaxPlan, batch: number): Reads {
  // However many tokens ask, a row is read at most once per launch from device memory.
  const rescore = Math.min(batch, rows / candidates) * bytes.rescore;
  const total = bytes.score + rescore;
  return { batch, score: bytes.score, rescore, total, dense: bytes.dense, ratio: bytes.dense / total };
}

function explainProgram(layer: string, { profile, target, layers }: Program): ProgramExplanation {
  const { buffers, kernels } = layers[layer]!;
  const bytesOf = (wanted: string) => buffers.reduce((sum, { role, bytes }) => sum + (role === wanted ? bytes : 0), 0);
  return {
    profile,
    target,
    scratchBytes: bytesOf("scratch"),
    inputBytes: bytesOf("input"),
    outputBytes: bytesOf("output"),
    kernels: kernels.map(({ name, file, stages, launches, workgroupSize, workgroupBytes }) => ({
      name,
      file,
      stages,
      launches,
      workgroupSize,
      workgroupBytes,
    })),
  };
}
