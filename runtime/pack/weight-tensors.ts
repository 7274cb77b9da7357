// The tensors of a weights file that a layer is packed from.

import type { LayerPlan } from "../plan.ts";
import type { Activations } from "./activations.ts";
import { type FfnWeights, packFfn } from "./pack-ffn.ts";
import { type PackedTensor, packLayer } from "./pack-layer.ts";
import type { WeightMatrix } from "./weights.ts";

export interface WeightTensor {
  /** The property of the spec that names it. */
  readonly property: string;
  readonly role: "weight" | "gate" | "up" | "down";
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** What the spec calls rows and columns. */
  readonly dimensions: readonly [string, string];
}

export function weightTensors(plan: LayerPlan): readonly WeightTensor[] {
  const { rows, inputs } = plan;
  if (plan.kind === "softmax") {
    const dimensions = ["rows", "inputs"] as const;
    return [{ property: "weight", role: "weight", name: plan.weight, rows, columns: inputs, dimensions }];
  }
  const { gate, up, down } = plan.weights;
  const into = { rows, columns: inputs, dimensions: ["hidden", "inputs"] } as const;
  const out = { rows: plan.outputs, columns: rows, dimensions: ["outputs", "hidden"] } as const;
  return [
    ...(gate === undefined ? [] : [{ property: "weights.gate", role: "gate" as const, name: gate, ...into }]),
    { property: "weights.up", role: "up", name: up, ...into },
    { property: "weights.down", role: "down", name: down, ...out },
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
  for (const { role, rows, columns } of weightTensors(plan)) {
    matrices[role] = { rows, inputs: columns, dtype: plan.dtype, bytes: bytes[role]! };
  }
  if (plan.kind === "softmax") return packLayer(plan, matrices.weight!, onRow, activations);
  return packFfn(plan, matrices as FfnWeights, onRow, activations);
}
