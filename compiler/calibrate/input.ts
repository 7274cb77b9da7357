// What a layer is calibrated with: its weights and the tokens that were recorded, both checked.

import { type Diagnostic, HireError } from "../../runtime/errors.ts";
import type { LayerWeights } from "../../runtime/measure/exact.ts";
import { readActivations } from "../../runtime/node/activations-file.ts";
import { type FoundTensor, readAll } from "../../runtime/node/pack-file.ts";
import type { SafetensorsFile } from "../../runtime/node/safetensors-file.ts";
import type { WeightTensor } from "../../runtime/pack/weight-tensors.ts";
import { rowReader, type WeightMatrix } from "../../runtime/pack/weights.ts";
import type { LayerPlan } from "../../runtime/plan.ts";
import { tokensFor } from "./bound.ts";
import type { Target } from "./result.ts";
import { type SplitTokens, splitTokens } from "./split.ts";

/** Fewer held-out tokens say nothing, whatever they show. */
const FEWEST_HELD_OUT = 16;

/** The layer's weights, each tensor read once, and the bytes of all of them in order. */
export async function readLayerWeights(
  plan: LayerPlan,
  found: readonly FoundTensor[],
): Promise<{ readonly weights: LayerWeights; readonly bytes: readonly Uint8Array[] }> {
  const bytes = await readAll(found);
  const { rows, inputs, dtype } = plan;
  const matrix = (role: WeightTensor["role"], height = rows, width = inputs): WeightMatrix => ({
    ...{ rows: height, inputs: width, dtype, bytes: bytes[role]! },
  });
  const numbers = (role: WeightTensor["role"]) => {
    if (!bytes[role]) return undefined;
    const values = new Float32Array(rows);
    rowReader(matrix(role, 1, rows))(0, values);
    return values;
  };
  const [bias, upBias] = [numbers("bias"), numbers("up_bias")];
  const all = found.map(({ role }) => bytes[role]!);
  if (plan.kind === "softmax") {
    return { weights: { scored: matrix("weight"), ...(bias && { bias }) }, bytes: all };
  }
  const gate = plan.gated ? matrix("gate") : undefined;
  const up = matrix("up");
  const matrices = { ...(gate && { gate }), up, down: matrix("down", plan.outputs, rows) };
  const ffn = { ...matrices, ...(upBias && { upBias }) };
  return { weights: { scored: gate ?? up, ...(bias && { bias }), ffn }, bytes: all };
}

/**
 * @param layers that are to be calibrated.
 * @throws HireError HIRE-CAL-001 for each whose inputs no file holds.
 */
export function requireRecorded(
  layers: readonly string[],
  files: readonly SafetensorsFile[],
  wasNamed: boolean,
): string[] {
  const isRecorded = (layer: string) => files.some(({ tensors }) => tensors.has(`${layer}.input`));
  const recorded = layers.filter(isRecorded);
  if (recorded.length > 0 && !wasNamed) return recorded;
  const problems = layers
    .filter((layer) => !isRecorded(layer))
    .map((layer): Diagnostic => {
      const where = files.map(({ path }) => path).join(", ");
      return {
        code: "HIRE-CAL-001",
        message: `${where} holds no recorded inputs of layer "${layer}"`,
        fix: `Record the layer's inputs as tensor "${layer}.input" F32 [tokens, inputs]; hirec record-script writes a script that does`,
      };
    });
  if (problems.length > 0) throw new HireError(problems);
  return recorded;
}

/**
 * Recorded inputs of a layer, in two parts.
 * @throws HireError HIRE-PACK-011 when they do not fit the layer, HIRE-CAL-002 when they are too few to show that the target
 * is reached, HIRE-CAL-003 when they are all equal.
 */
export async function readTokens(
  layer: string,
  plan: LayerPlan,
  files: readonly SafetensorsFile[],
  { target, seed, most }: { readonly target: Target; readonly seed: number; readonly most: number },
): Promise<SplitTokens> {
  const recorded = (await readActivations(layer, plan, files))!;
  const split = splitTokens(recorded, plan.inputs, seed, most);
  const { counts } = split;
  if (counts.distinct === 1 && counts.recorded > 1) {
    throw new HireError({
      code: "HIRE-CAL-003",
      message: `All ${counts.recorded} recorded inputs of layer "${layer}" are equal`,
      fix: "Record the inputs of a text, one per token; a hook that keeps a reference to a buffer records its last content",
    });
  }
  const needed = Math.max(FEWEST_HELD_OUT, tokensFor(target, plan.k));
  if (counts.heldOut < needed) {
    const share = `${target.measure} ${target.value}`;
    const [have, limit] = [`${counts.distinct} different inputs of layer "${layer}"`, most < counts.distinct];
    throw new HireError({
      code: "HIRE-CAL-002",
      message: `${limit ? `${most} of ` : ""}${have} cannot show ${share}: half of them is held out, and that takes ${needed}`,
      fix: `${limit ? "Raise --tokens" : "Record more tokens"} to at least ${2 * needed}, or lower the target`,
    });
  }
  return split;
}
