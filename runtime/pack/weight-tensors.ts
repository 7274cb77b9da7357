// The tensors of a weights file that a layer is packed from.

import type { FfnPlan, LayerPlan } from "../plan.ts";
import type { Activations } from "./activations.ts";
import { type FfnWeights, packFfn } from "./pack-ffn.ts";
import { type PackedTensor, packLayer } from "./pack-layer.ts";
import type { WeightMatrix } from "./weights.ts";

export type BiasRole = "bias" | "up_bias" | "down_bias";

export interface WeightTensor {
  /** The property of the spec that names it. */
  readonly property: string;
  readonly role: "weight" | "gate" | "up" | "down" | BiasRole;
  readonly name: string;
  readonly shape: readonly number[];
  /** What the spec calls each extent of the shape. */
  readonly dimensions: readonly string[];
}

export function weightTensors(plan: LayerPlan): readonly WeightTensor[] {
  const { rows, inputs } = plan;
  if (plan.kind === "softmax") {
    const { weight, bias } = plan;
    const ofRows = { property: "bias", role: "bias" as const, shape: [rows], dimensions: ["rows"] };
    return [
      { property: "weight", role: "weight", name: weight, shape: [rows, inputs], dimensions: ["rows", "inputs"] },
      ...(bias === undefined ? [] : [{ ...ofRows, name: bias }]),
    ];
  }
  const { gate, up, down } = plan.weights;
  const into = { shape: [rows, inputs], dimensions: ["hidden", "inputs"] } as const;
  const out = { shape: [plan.outputs, rows], dimensions: ["outputs", "hidden"] } as const;
  return [
    ...(gate === undefined ? [] : [{ property: "weights.gate", role: "gate" as const, name: gate, ...into }]),
    { property: "weights.up", role: "up", name: up, ...into },
    { property: "weights.down", role: "down", name: down, ...out },
    ...biasTensors(plan),
  ];
}

function biasTensors({ rows, outputs, gated, bias, biases }: FfnPlan): WeightTensor[] {
  const ofNeurons = { shape: [rows], dimensions: ["hidden"] } as const;
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

/** Builds every packed tensor of a layer. @param bytes of each weight tensor, by its role. @param activations `[tokens, inputs]`. */
export function packWeights(
  plan: LayerPlan,
  bytes: Readonly<Partial<Record<WeightTensor["role"], Uint8Array>>>,
  onRow?: () => void,
  activations?: Activations,
): PackedTensor[] {
  const matrices: Partial<Record<WeightTensor["role"], WeightMatrix>> = {};
  for (const { role, shape } of weightTensors(plan)) {
    const [rows, inputs] = shape;
    if (inputs !== undefined) matrices[role] = { rows: rows!, inputs, dtype: plan.dtype, bytes: bytes[role]! };
  }
  if (plan.kind === "softmax") return packLayer(plan, matrices.weight!, onRow, activations, bytes.bias);
  return packFfn(plan, matrices as FfnWeights, onRow, activations, bytes);
}
