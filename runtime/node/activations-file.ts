// Recorded inputs of layers, from safetensors files.

import { HireError } from "../errors.ts";
import type { Activations } from "../pack/activations.ts";
import type { LayerPlan } from "../plan.ts";
import type { SafetensorsFile } from "./safetensors-file.ts";

/**
 * Tensor `<layer>.input` F32 `[tokens, inputs]`; undefined where no file holds it and the layer can do without.
 * @throws HireError HIRE-PACK-010 when the layer cannot do without, -011 when the tensor is something else, is empty or
 * holds NaN or infinity.
 */
export async function readActivations(
  layer: string,
  { inputs, estimator }: LayerPlan,
  files: readonly SafetensorsFile[],
): Promise<Activations | undefined> {
  const name = `${layer}.input`;
  const file = files.find(({ tensors }) => tensors.has(name));
  if (!file) {
    if (estimator.kind !== "lowRank" || estimator.basis !== "activations") return undefined;
    const where = files.length === 0 ? "none are given" : `${files.map(({ path }) => path).join(", ")} lacks "${name}"`;
    throw new HireError({
      code: "HIRE-PACK-010",
      message: `Layer "${layer}" takes its basis from activations, and ${where}`,
      fix: `Record the layer's inputs as tensor "${name}" F32 [tokens, ${inputs}] and name the file with --activations, or use basis: "weights"`,
    });
  }
  const tensor = file.tensors.get(name)!;
  const refuse = (what: string) =>
    new HireError({
      code: "HIRE-PACK-011",
      message: `Tensor "${name}" in ${file.path} ${what}`,
      fix: `Record inputs of layer "${layer}" as F32 [tokens, ${inputs}], at least one, all finite`,
    });
  const { dtype, shape } = tensor;
  if (dtype !== "F32" || shape.length !== 2 || shape[1] !== inputs || shape[0] === 0) {
    throw refuse(`is ${dtype} [${shape}], not F32 [tokens, ${inputs}]`);
  }
  const bytes = await file.read(tensor);
  const x = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const broken = x.findIndex((value) => !Number.isFinite(value));
  if (broken >= 0) throw refuse(`holds ${x[broken]} in token ${Math.floor(broken / inputs)}`);
  return x;
}

/** @returns the layers whose inputs were recorded. @throws HireError HIRE-CAL-001. */
export function recordedLayers(
  layers: readonly string[],
  files: readonly SafetensorsFile[],
  wereNamed: boolean,
): readonly string[] {
  const isRecorded = (layer: string) => files.some(({ tensors }) => tensors.has(`${layer}.input`));
  const recorded = layers.filter(isRecorded);
  if (recorded.length > 0 && !wereNamed) return recorded;
  const where = files.map(({ path }) => path).join(", ");
  const problems = layers
    .filter((layer) => !isRecorded(layer))
    .map((layer) => ({
      code: "HIRE-CAL-001",
      message: `${where} holds no recorded inputs of layer "${layer}"`,
      fix: `Record them as tensor "${layer}.input" F32 [tokens, inputs]; hirec record-script writes a script that does`,
    }));
  if (problems.length > 0) throw new HireError(problems);
  return recorded;
}
