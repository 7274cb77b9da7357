// Packing: the tensors that a plan names, out of safetensors files, into one file that lies as the plan wants.

import { type Diagnostic, HireError } from "../errors.ts";
import type { WeightSource } from "../layer.ts";
import { type PackedTensor, packLayer } from "../pack/pack-layer.ts";
import { checkPack, packMetadata } from "../pack/read-pack.ts";
import type { Plan, SoftmaxPlan } from "../plan.ts";
import type { TensorInfo } from "../safetensors.ts";
import { openSafetensors, type SafetensorsFile, type TensorSource, writeSafetensors } from "./safetensors-file.ts";
import { refuseToReplace } from "./write-whole.ts";

/** Called while packing: rows done out of all rows of all layers. */
export type PackProgress = (done: number, total: number) => void;

export interface PackSummary {
  readonly bytes: number;
  readonly tensors: readonly { readonly name: string; readonly bytes: number }[];
}

/**
 * Packs a model. Memory holds the weights and the packed tensors of one layer at a time.
 * @throws HireError HIRE-PACK-001 to -005, -008 and -009; no file is left behind then.
 */
export async function packModel(
  plan: Plan,
  weightPaths: readonly string[],
  out: string,
  onProgress?: PackProgress,
): Promise<PackSummary> {
  const files: SafetensorsFile[] = [];
  try {
    await refuseToReplace(out, weightPaths, "HIRE-PACK-008");
    for (const path of weightPaths) files.push(await openSafetensors(path));
    const layers = findWeights(plan, files);
    const total = layers.reduce((sum, { layer }) => sum + layer.rows, 0);
    let done = 0;
    const tick = () => {
      done++;
      if (done % 256 === 0 || done === total) onProgress?.(done, total);
    };
    const sources = layers.flatMap(({ layer, file, tensor }) => packSources(layer, file, tensor, tick));
    await writeSafetensors(out, sources, packMetadata(plan), "HIRE-PACK-008");
    const tensors = Object.values(plan.layers).flatMap((layer) => layer.tensors);
    return {
      bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
      tensors: tensors.map(({ name, bytes }) => ({ name, bytes })),
    };
  } finally {
    for (const file of files) await file.close();
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
  layer: SoftmaxPlan,
  file: SafetensorsFile,
  tensor: TensorInfo,
  onRow: () => void,
): readonly TensorSource[] {
  let packed: PackedTensor[] | undefined;
  return layer.tensors.map(({ name, dtype, shape }, index) => ({
    name,
    dtype,
    shape,
    bytes: async () => {
      packed ??= packLayer(
        layer,
        { rows: layer.rows, inputs: layer.inputs, dtype: layer.dtype, bytes: await file.read(tensor) },
        onRow,
      );
      const { data } = packed[index]!;
      if (index === layer.tensors.length - 1) packed = undefined;
      return data;
    },
  }));
}

/** @throws HireError with what is wrong for every layer, so that one attempt shows it all. */
function findWeights(plan: Plan, files: readonly SafetensorsFile[]) {
  const problems: Diagnostic[] = [];
  const found: ({ readonly layer: SoftmaxPlan } & ReturnType<typeof findWeight>)[] = [];
  for (const [name, layer] of Object.entries(plan.layers)) {
    try {
      found.push({ layer, ...findWeight(name, layer, files) });
    } catch (thrown) {
      if (!(thrown instanceof HireError)) throw thrown;
      problems.push(...thrown.diagnostics);
    }
  }
  if (problems.length > 0) throw new HireError(problems);
  return found;
}

function findWeight(name: string, { weight, rows, inputs, dtype }: SoftmaxPlan, files: readonly SafetensorsFile[]) {
  const holders = files.filter(({ tensors }) => tensors.has(weight));
  const where = files.map(({ path }) => path).join(", ");
  const [file] = holders;
  if (!file) {
    const like = files
      .flatMap(({ tensors }) => [...tensors.values()])
      .filter(({ shape }) => String(shape) === String([rows, inputs]))
      .map((tensor) => `"${tensor.name}"`);
    throw new HireError({
      code: "HIRE-PACK-003",
      message: `Layer "${name}" wants tensor "${weight}", which ${where} does not hold`,
      fix:
        like.length > 0
          ? `Correct \`weight\` in the spec; of that shape there is ${like.slice(0, 5).join(", ")}`
          : "Correct `weight` in the spec, or name the file that holds it with --weights",
    });
  }
  if (holders.length > 1) {
    throw new HireError({
      code: "HIRE-PACK-009",
      message: `Tensor "${weight}" stands in several files: ${holders.map(({ path }) => path).join(", ")}`,
      fix: "Name only the file that is meant",
    });
  }
  const tensor = file.tensors.get(weight)!;
  if (String(tensor.shape) !== String([rows, inputs])) {
    throw new HireError({
      code: "HIRE-PACK-004",
      message: `Tensor "${weight}" in ${file.path} has shape [${tensor.shape}], but layer "${name}" has [${rows},${inputs}] (rows, inputs)`,
      fix: "Correct rows and inputs in the spec, or name another tensor",
    });
  }
  if (tensor.dtype !== dtype.toUpperCase()) {
    const known = ["F32", "F16", "BF16"].includes(tensor.dtype);
    throw new HireError({
      code: "HIRE-PACK-005",
      message: `Tensor "${weight}" in ${file.path} is ${tensor.dtype}, but layer "${name}" has dtype "${dtype}"`,
      fix: known
        ? `Write dtype: "${tensor.dtype.toLowerCase()}" in the spec`
        : "Convert the tensor to F32, F16 or BF16; hirec reads no other dtype",
    });
  }
  return { file, tensor };
}
