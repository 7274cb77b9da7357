// Packing: the tensors that a plan names, out of safetensors files, into one file that lies as the plan wants.

import { type Diagnostic, HireError } from "../errors.ts";
import type { WeightSource } from "../layer.ts";
import type { Activations } from "../pack/activations.ts";
import type { PackedTensor } from "../pack/pack-layer.ts";
import { checkPack, packMetadata } from "../pack/read-pack.ts";
import { packWeights, type WeightTensor, weightTensors } from "../pack/weight-tensors.ts";
import type { LayerPlan, Plan } from "../plan.ts";
import type { TensorInfo } from "../safetensors.ts";
import { readActivations } from "./activations-file.ts";
import { openSafetensors, type SafetensorsFile, type TensorSource } from "./safetensors-file.ts";
import { writePack } from "./write-pack.ts";
import { refuseToReplace } from "./write-whole.ts";

/** Called while packing: rows done out of all rows of all layers. */
export type PackProgress = (done: number, total: number) => void;

export interface PackOptions {
  /** Files with recorded inputs of layers, tensors `<layer>.input` F32 `[tokens, inputs]`. */
  readonly activations?: readonly string[];
  readonly onProgress?: PackProgress;
}

export interface PackSummary {
  /** SHA-256 of the pack's header, in hexadecimal, by which `fetchPack` knows every byte of it. */
  readonly digest: string;
  readonly bytes: number;
  readonly tensors: readonly { readonly name: string; readonly bytes: number }[];
}

/**
 * Packs a model. Memory holds the weights and the packed tensors of one layer at a time.
 * @throws HireError HIRE-PACK-001 to -005 and -008 to -011; no file is left behind then.
 */
export async function packModel(
  plan: Plan,
  weightPaths: readonly string[],
  out: string,
  { activations = [], onProgress }: PackOptions = {},
): Promise<PackSummary> {
  const files: SafetensorsFile[] = [];
  const recorded: SafetensorsFile[] = [];
  try {
    await refuseToReplace(out, [...weightPaths, ...activations], "HIRE-PACK-008");
    for (const path of weightPaths) files.push(await openSafetensors(path));
    for (const path of activations) recorded.push(await openSafetensors(path));
    const layers = findWeights(plan, files);
    const total = layers.reduce((sum, { layer }) => sum + layer.rows, 0);
    let done = 0;
    const tick = () => {
      done++;
      if (done % 256 === 0 || done === total) onProgress?.(done, total);
    };
    const sources = layers.flatMap(({ name, layer, found }) =>
      packSources(layer, found, tick, () => readActivations(name, layer, recorded)),
    );
    const digest = await writePack(out, sources, packMetadata(plan));
    const tensors = Object.values(plan.layers).flatMap((layer) => layer.tensors);
    return {
      digest,
      bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
      tensors: tensors.map(({ name, bytes }) => ({ name, bytes })),
    };
  } finally {
    for (const file of [...files, ...recorded]) await file.close();
  }
}

/** A pack on disk, checked against its plan; tensors are read when they are asked for. */
export interface OpenPack {
  readonly weights: WeightSource;
  close(): Promise<void>;
}

/** @throws HireError HIRE-PACK-001, -002, -006 and -007. */
export async function openPack(path: string, plan: Plan): Promise<OpenPack> {
  const file = await openSafetensors(path);
  try {
    checkPack(file, plan, path);
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
  return { weights: ({ name }) => file.read(file.tensors.get(name)!), close: () => file.close() };
}

/** The tensors of one layer, packed together when the first is asked for and dropped with the last. */
function packSources(
  layer: LayerPlan,
  found: readonly FoundTensor[],
  onRow: () => void,
  activations: () => Promise<Activations | undefined>,
): readonly TensorSource[] {
  let packed: PackedTensor[] | undefined;
  return layer.tensors.map(({ name, dtype, shape }, index) => ({
    name,
    dtype,
    shape,
    bytes: async () => {
      packed ??= packWeights(layer, await readAll(found), onRow, await activations());
      const { data } = packed[index]!;
      if (index === layer.tensors.length - 1) packed = undefined;
      return data;
    },
  }));
}

/** A tensor that a layer is packed from, and the file that holds it. */
export interface FoundTensor {
  readonly role: WeightTensor["role"];
  readonly file: SafetensorsFile;
  readonly tensor: TensorInfo;
}

export async function readAll(
  found: readonly FoundTensor[],
): Promise<Partial<Record<WeightTensor["role"], Uint8Array>>> {
  const bytes: Partial<Record<WeightTensor["role"], Uint8Array>> = {};
  for (const { role, file, tensor } of found) bytes[role] = await file.read(tensor);
  return bytes;
}

/** @throws HireError with what is wrong for every layer, so that one attempt shows it all. */
export function findWeights(plan: Pick<Plan, "layers">, files: readonly SafetensorsFile[]) {
  const problems: Diagnostic[] = [];
  const layers: { readonly name: string; readonly layer: LayerPlan; readonly found: FoundTensor[] }[] = [];
  for (const [name, layer] of Object.entries(plan.layers)) {
    const found: FoundTensor[] = [];
    for (const wanted of weightTensors(layer)) {
      try {
        found.push({ role: wanted.role, ...findWeight(name, layer, wanted, files) });
      } catch (thrown) {
        if (!(thrown instanceof HireError)) throw thrown;
        problems.push(...thrown.diagnostics);
      }
    }
    layers.push({ name, layer, found });
  }
  if (problems.length > 0) throw new HireError(problems);
  return layers;
}

function findWeight(
  layer: string,
  { dtype }: LayerPlan,
  { property, role, name, shape: wanted, dimensions }: WeightTensor,
  files: readonly SafetensorsFile[],
) {
  const holders = files.filter(({ tensors }) => tensors.has(name));
  const where = files.map(({ path }) => path).join(", ");
  const [file] = holders;
  if (!file) {
    const like = files
      .flatMap(({ tensors }) => [...tensors.values()])
      .filter(({ shape }) => String(shape) === String(wanted))
      .map((tensor) => `"${tensor.name}"`);
    throw new HireError({
      code: "HIRE-PACK-003",
      message: `Layer "${layer}" wants tensor "${name}", which ${where} does not hold`,
      fix:
        like.length > 0
          ? `Correct \`${property}\` in the spec; of that shape there is ${like.slice(0, 5).join(", ")}`
          : `Correct \`${property}\` in the spec, or name the file that holds it with --weights`,
    });
  }
  if (holders.length > 1) {
    throw new HireError({
      code: "HIRE-PACK-009",
      message: `Tensor "${name}" stands in several files: ${holders.map(({ path }) => path).join(", ")}`,
      fix: "Name only the file that is meant",
    });
  }
  const tensor = file.tensors.get(name)!;
  if (String(tensor.shape) !== String(wanted)) {
    throw new HireError({
      code: "HIRE-PACK-004",
      message: `Tensor "${name}" in ${file.path} has shape [${tensor.shape}], but layer "${layer}" has [${wanted}] (${dimensions.join(", ")})`,
      fix: `Correct ${dimensions.join(" and ")} in the spec, or name another tensor`,
    });
  }
  if (tensor.dtype !== dtype.toUpperCase()) {
    const known = ["F32", "F16", "BF16"].includes(tensor.dtype);
    const ofWeights = `Convert the tensor to ${dtype.toUpperCase()}: a bias has the dtype of its weights`;
    const ofSpec = known
      ? `Write dtype: "${tensor.dtype.toLowerCase()}" in the spec`
      : "Convert the tensor to F32, F16 or BF16; hirec reads no other dtype";
    throw new HireError({
      code: "HIRE-PACK-005",
      message: `Tensor "${name}" in ${file.path} is ${tensor.dtype}, but layer "${layer}" has dtype "${dtype}"`,
      fix: role.endsWith("bias") ? ofWeights : ofSpec,
    });
  }
  return { file, tensor };
}
