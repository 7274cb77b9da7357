// What layers take, out of a file: tokens, and what some output heads take besides.

import { HireError } from "../errors.ts";
import type { SoftmaxInputs } from "../inputs.ts";
import { requireLayer } from "../model.ts";
import type { LayerPlan, Plan } from "../plan.ts";
import type { SafetensorsFile } from "./safetensors-file.ts";

export interface LayerInputs extends SoftmaxInputs {
  /** `[tokens, inputs]`. */
  readonly x: Float32Array;
}

/**
 * Reads `<layer>.input` F32 `[tokens, inputs]`; of an output head with a mask also `<layer>.mask` U8 `[rows]`, where there is
 * one, and of one that draws at random `<layer>.uniforms` F32 `[tokens]`.
 * @param only this layer; otherwise every layer whose input the file holds.
 * @throws HireError HIRE-RUN-002 naming the tensor that is missing or wrong, HIRE-RUN-008 when there is no such layer.
 */
export async function readInputs(plan: Plan, file: SafetensorsFile, only?: string): Promise<Map<string, LayerInputs>> {
  const names = only === undefined ? layersWithInput(plan, file) : [only];
  const inputs = new Map<string, LayerInputs>();
  for (const name of names) inputs.set(name, await readLayer(name, requireLayer(plan, name), file));
  return inputs;
}

function layersWithInput({ layers, model }: Plan, input: SafetensorsFile): string[] {
  const names = Object.keys(layers).filter((name) => input.tensors.has(`${name}.input`));
  if (names.length > 0) return names;
  const wanted = Object.keys(layers).map((name) => `"${name}.input"`);
  throw badInput(
    `${input.path} holds no input for "${model}"`,
    `Store the tokens as tensor ${wanted.join(" or ")}, F32 [tokens, inputs]`,
  );
}

async function readLayer(name: string, plan: LayerPlan, file: SafetensorsFile): Promise<LayerInputs> {
  const x = await readInput(name, plan, file);
  const mask = await readMask(name, plan, file);
  const uniforms = await readUniforms(name, plan, x.length / plan.inputs, file);
  return { x, ...(mask && { mask }), ...(uniforms && { uniforms }) };
}

async function readInput(name: string, { inputs }: LayerPlan, file: SafetensorsFile): Promise<Float32Array> {
  const tensor = file.tensors.get(`${name}.input`);
  const fix = `Store the tokens as tensor "${name}.input", F32 [tokens, ${inputs}], with at least one token`;
  if (!tensor) throw badInput(`${file.path} holds no tensor "${name}.input"`, fix);
  const { dtype, shape } = tensor;
  if (dtype !== "F32" || shape.length !== 2 || shape[1] !== inputs || shape[0] === 0) {
    throw badInput(`Tensor "${name}.input" in ${file.path} is ${dtype} [${shape}], not F32 [tokens, ${inputs}]`, fix);
  }
  return floats(await file.read(tensor));
}

async function readMask(layer: string, { kind, mask: takesMask, rows }: LayerPlan, file: SafetensorsFile) {
  const name = `${layer}.mask`;
  if (!takesMask) return refuse(file, name, `layer "${layer}" was compiled without a mask`, kind, "mask: true");
  const fix = `Store the mask as U8 [${rows}], 1 for a row that may be returned and 0 for one that may not`;
  const mask = await readVector(file, name, "U8", rows, fix);
  const row = mask?.findIndex((allowed) => allowed > 1) ?? -1;
  if (row < 0) return mask;
  throw badInput(`Tensor "${name}" in ${file.path} is ${mask![row]} for row ${row}, which is neither 0 nor 1`, fix);
}

async function readUniforms(layer: string, { kind, sampler }: LayerPlan, tokens: number, file: SafetensorsFile) {
  const name = `${layer}.uniforms`;
  if (sampler !== "multinomial") {
    return refuse(file, name, `layer "${layer}" does not draw at random`, kind, "sample: multinomial()");
  }
  const fix = `Store random numbers in [0, 1) as tensor "${name}", F32 [${tokens}], one per token`;
  const bytes = await readVector(file, name, "F32", tokens, fix);
  if (!bytes) throw badInput(`${file.path} holds no tensor "${name}", by which layer "${layer}" draws rows`, fix);
  const uniforms = floats(bytes);
  // 1 is what rounding to F32 makes of the largest numbers below it.
  const token = uniforms.findIndex((uniform) => !(uniform >= 0 && uniform <= 1));
  if (token < 0) return uniforms;
  throw badInput(`Tensor "${name}" in ${file.path} is ${uniforms[token]} for token ${token}`, fix);
}

/** Throws where the file holds a tensor that the layer has no use for: somebody expects it to count. */
function refuse(
  { path, tensors }: SafetensorsFile,
  name: string,
  why: string,
  kind: LayerPlan["kind"],
  option: string,
): undefined {
  if (!tensors.has(name)) return;
  const fix = `Add ${option} to the layer in the spec and compile again, or leave the tensor out`;
  throw badInput(`${path} holds a tensor "${name}", but ${why}`, kind === "softmax" ? fix : "Leave the tensor out");
}

/** The bytes of a tensor of one dimension; undefined where the file has none of that name. */
async function readVector(
  file: SafetensorsFile,
  name: string,
  dtype: "U8" | "F32",
  length: number,
  fix: string,
): Promise<Uint8Array | undefined> {
  const tensor = file.tensors.get(name);
  if (!tensor) return undefined;
  if (tensor.dtype === dtype && tensor.shape.length === 1 && tensor.shape[0] === length) return file.read(tensor);
  throw badInput(
    `Tensor "${name}" in ${file.path} is ${tensor.dtype} [${tensor.shape}], not ${dtype} [${length}]`,
    fix,
  );
}

function floats({ buffer, byteOffset, byteLength }: Uint8Array): Float32Array {
  return new Float32Array(buffer, byteOffset, byteLength / 4);
}

function badInput(message: string, fix: string): HireError {
  return new HireError({ code: "HIRE-RUN-002", message, fix });
}
