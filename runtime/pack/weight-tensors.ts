// The tensors of a weights file that a layer is packed from.

import type { FfnPlan, LayerPlan } from "../plan.ts";
import type { Activations } from "./activations.ts";
import { type FfnWeights, packFfn } from "./pack-ffn.ts";
import { type PackedTensor, packLayer } from "./pack-layer.ts";
import { shardRows, takeColumns, takeRows } from "./shard-tensor.ts";
import { WEIGHT_BYTES, type WeightMatrix } from "./weights.ts";

export type BiasRole = "bias" | "up_bias" | "down_bias";

export interface WeightTensor {
  /** The property of the spec that names it. */
  readonly property: string;
  readonly role: "weight" | "gate" | "up" | "down" | BiasRole;
  readonly name: string;
  readonly shape: readonly number[];
  /** Of the shape, the extent that counts rows or neurons; absent where none does. A shard has a part of it. */
  readonly axis?: 0 | 1;
  /** What the spec calls each extent of the shape. */
  readonly dimensions: readonly string[];
}

/** As they lie in the file, whole: of a shard's layer too. */
export function weightTensors(plan: LayerPlan): readonly WeightTensor[] {
  const { inputs } = plan;
  const rows = plan.shard?.rows ?? plan.rows;
  if (plan.kind === "softmax") {
    const { weight, bias } = plan;
    const ofRows = { property: "bias", role: "bias" as const, shape: [rows], axis: 0 as const, dimensions: ["rows"] };
    const shape = [rows, inputs];
    return [
      { property: "weight", role: "weight", name: weight, shape, axis: 0, dimensions: ["rows", "inputs"] },
      ...(bias === undefined ? [] : [{ ...ofRows, name: bias }]),
    ];
  }
  const { gate, up, down } = plan.weights;
  const into = { shape: [rows, inputs], axis: 0, dimensions: ["hidden", "inputs"] } as const;
  const out = { shape: [plan.outputs, rows], axis: 1, dimensions: ["outputs", "hidden"] } as const;
  return [
    ...(gate === undefined ? [] : [{ property: "weights.gate", role: "gate" as const, name: gate, ...into }]),
    { property: "weights.up", role: "up", name: up, ...into },
    { property: "weights.down", role: "down", name: down, ...out },
    ...biasTensors(plan),
  ];
}

function biasTensors({ rows, shard, outputs, gated, bias, biases }: FfnPlan): WeightTensor[] {
  const ofNeurons = { shape: [shard?.rows ?? rows], axis: 0, dimensions: ["hidden"] } as const;
  const ofOutputs = { shape: [outputs], dimensions: ["outputs"] } as const;
  const { up, down } = biases ?? {};
  return [
    ...(bias === undefined
      ? []
      : [{ property: gated ? "bias.gate" : "bias.up", role: "bias" as const, name: bias, ...ofNeurons }]),
    ...(up === undefined ? [] : [{ property: "bias.up", role: "up_bias" as const, name: up, ...ofNeurons }]),
    ...(down === undefined ? [] : [{ property: "bias.down", role: "down_bias" as const, name: down, ...ofOutputs }]),
  ];
}

/**
 * Builds every packed tensor of a layer.
 * @param bytes of each weight tensor, by its role, whole: of them a shard's layer takes its part.
 * @param activations `[tokens, inputs]`.
 */
export function packWeights(
  plan: LayerPlan,
  bytes: Readonly<Partial<Record<WeightTensor["role"], Uint8Array>>>,
  onRow?: () => void,
  activations?: Activations,
): PackedTensor[] {
  const matrices: Partial<Record<WeightTensor["role"], WeightMatrix>> = {};
  const vectors: Partial<Record<WeightTensor["role"], Uint8Array>> = {};
  const own = shardRows(plan);
  for (const { role, shape, axis } of weightTensors(plan)) {
    const part = own && axis !== undefined ? partOf(plan, bytes[role]!, shape, axis, own) : bytes[role]!;
    const [rows, columns] = shape.map((extent, i) => (own && i === axis ? own.length : extent));
    if (columns === undefined) vectors[role] = part;
    else matrices[role] = { rows: rows!, inputs: columns, dtype: plan.dtype, bytes: part };
  }
  if (plan.kind === "softmax") return packLayer(plan, matrices.weight!, onRow, activations, vectors.bias);
  return packFfn(plan, matrices as FfnWeights, onRow, activations, vectors);
}

function partOf(
  { dtype }: LayerPlan,
  bytes: Uint8Array,
  shape: readonly number[],
  axis: 0 | 1,
  own: Uint32Array,
): Uint8Array {
  const elementBytes = WEIGHT_BYTES[dtype];
  const rowBytes = shape.slice(1).reduce((product, extent) => product * extent, elementBytes);
  return axis === 0 ? takeRows(bytes, rowBytes, own) : takeColumns(bytes, rowBytes, elementBytes, own);
}
