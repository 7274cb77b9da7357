// What a launch moves: kernel by kernel the weights that it reads and what it hands on, from the plan; and the same of a dense
// layer.

import type { LayerPlan, LayerProgram, Plan } from "../../runtime/plan.ts";
import { type Reads, readsOf } from "../reads.ts";

export interface Flow {
  readonly steps: readonly FlowStep[];
  readonly input: Amount;
  readonly output: Amount;
}

export interface FlowStep {
  readonly name: string;
  readonly stages: readonly string[];
  readonly reads: readonly Amount[];
  /** What a later step needs of this one or of an earlier one. */
  readonly passes?: Amount;
}

export interface Amount {
  readonly what: string;
  /** Absent where it depends on the tokens. */
  readonly bytes?: number;
}

/** Of a sharded layer, what one shard does, and what merges. */
export function layerFlow(plan: Plan, name: string): Flow {
  const { programs, shards } = plan;
  const { profile, layers } = programs[0]!;
  const whole = plan.layers[name]!;
  const part = whole.sharding && shards?.parts[0];
  const own = part?.layers[name] ?? whole;
  const reads = readsOf(own, own.batch);
  const made = [part?.programs[profile]?.[name], layers[name]].flatMap((program) =>
    program && program.kernels.length > 0 ? [program] : [],
  );
  const steps = made.flatMap((program, i) => {
    const all = stepsOf(program, own, reads);
    // What a shard sends is what merging begins with.
    const sent = i + 1 < made.length && { passes: amountOf(outputsOf(program)) };
    return [...all.slice(0, -1), { ...all.at(-1)!, ...sent }];
  });
  return { steps, input: tokensOf(own), output: amountOf(outputsOf(made.at(-1)!)) };
}

function outputsOf({ buffers }: LayerProgram) {
  return buffers.filter(({ role }) => role === "output");
}

function stepsOf({ buffers, kernels }: LayerProgram, layer: LayerPlan, reads: Reads): FlowStep[] {
  const bound = kernels.map(({ bindings }) => new Set(bindings.map(({ name, buffer = name }) => buffer)));
  return kernels.map(({ file, template, stages }, i) => {
    const own = buffers.filter((buffer) => bound[i]!.has(buffer.name));
    const weights = own.filter(({ role }) => role === "weight");
    const exact = weights.filter((buffer) => buffer.name === "exact" || buffer.name === "bundles");
    const copy = weights.filter((buffer) => !exact.includes(buffer));
    const passed = buffers.filter(
      (buffer) =>
        buffer.role === "scratch" &&
        bound.slice(0, i + 1).some((names) => names.has(buffer.name)) &&
        bound.slice(i + 1).some((names) => names.has(buffer.name)),
    );
    const isFallback = template.startsWith("fallback");
    const kind = layer.kind === "ffn" ? "exact neurons" : "exact rows";
    return {
      ...{ name: file.split(".").at(-2)!, stages },
      reads: [
        ...(copy.length > 0 && !isFallback ? [{ what: copyName(layer, template), bytes: sizeOf(copy) }] : []),
        ...(exact.length === 0
          ? []
          : isFallback
            ? [{ what: "only unproven tokens" }]
            : [{ what: kind, bytes: reads.rescore }]),
      ],
      ...(passed.length > 0 && { passes: amountOf(passed) }),
    };
  });
}

function copyName({ estimator }: LayerPlan, template: string): string {
  if (estimator.kind === "dense") return "exact weights";
  if (estimator.kind === "quantized") return `copy of ${estimator.bits} bits`;
  return template === "project" ? "the basis" : `factors of rank ${estimator.rank}`;
}

/** A matrix product and what follows it, as frameworks compute it: scores go through memory. */
export function denseFlow(layer: LayerPlan): Flow {
  const { rows, inputs, batch, k, dtype, bytes } = layer;
  const input = tokensOf(layer);
  if (layer.kind === "softmax") {
    const read = [{ what: "exact weights", bytes: bytes.dense }];
    return {
      input,
      steps: [
        {
          name: "dense",
          stages: ["score every row"],
          reads: read,
          passes: { what: "scores", bytes: batch * rows * 4 },
        },
        { name: "top-k", stages: ["select"], reads: [] },
      ],
      output: { what: "indices, values", bytes: batch * k * 8 },
    };
  }
  const first = rows * inputs * (dtype === "f32" ? 4 : 2) * (layer.gated ? 2 : 1);
  const name = layer.gated ? "gate and up" : "up";
  const passes = { what: "hidden", bytes: batch * rows * 4 };
  return {
    input,
    steps: [
      { name, stages: ["every neuron"], reads: [{ what: "exact weights", bytes: first }], passes },
      { name: "down", stages: ["every neuron"], reads: [{ what: "exact weights", bytes: bytes.dense - first }] },
    ],
    output: { what: "output", bytes: batch * layer.outputs * 4 },
  };
}

function tokensOf({ batch, inputs }: LayerPlan): Amount {
  return { what: batch === 1 ? "1 token" : `${batch} tokens`, bytes: batch * inputs * 4 };
}

interface Sized {
  readonly name: string;
  readonly bytes: number;
}

function amountOf(buffers: readonly Sized[]): Amount {
  return { what: buffers.map(({ name }) => name).join(", "), bytes: sizeOf(buffers) };
}

function sizeOf(buffers: readonly Sized[]): number {
  return buffers.reduce((sum, { bytes }) => sum + bytes, 0);
}
