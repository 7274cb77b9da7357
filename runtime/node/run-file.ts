// Running a compiled model on tensors from a file, into a file.

import { HireError } from "../errors.ts";
import type { LayerResult } from "../layer.ts";
import type { LayerPlan, Plan } from "../plan.ts";
import { createReference } from "../reference/layer.ts";
import { type CompiledSources, loadModel, requireLayer } from "../webgpu/model.ts";
import { type DeviceChoice, requestNodeDevice } from "./device.ts";
import { openPack } from "./pack-file.ts";
import { openSafetensors, type SafetensorsFile, type TensorSource, writeSafetensors } from "./safetensors-file.ts";
import { refuseToReplace } from "./write-whole.ts";

export interface RunOptions {
  readonly pack: string;
  readonly input: string;
  readonly output: string;
  /** Runs only this layer; otherwise every layer whose input the file holds. */
  readonly layer?: string;
  readonly device: DeviceChoice | "reference";
  readonly profile?: string;
  /** Called while running: tokens done out of all tokens of all layers. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface RunSummary {
  /** Where it ran, in words. */
  readonly device: string;
  readonly kind: "hardware" | "software" | "reference";
  readonly profile?: string;
  readonly layers: readonly {
    readonly layer: string;
    readonly tokens: number;
    /** Tokens of which it is certain that no row was missed; absent when the layer is not certified. */
    readonly certified?: number;
  }[];
}

/** What runs one layer on `x` of `[tokens, inputs]`. */
type LayerRunner = (layer: string, x: Float32Array) => Promise<LayerResult>;

/**
 * Reads `<layer>.input` F32 `[tokens, inputs]`; writes of an output head `<layer>.indices` U32 and `<layer>.values` F32
 * `[tokens, k]`, and `<layer>.certified` U8 `[tokens]` where it is certified; of a feed-forward `<layer>.output` F32
 * `[tokens, outputs]` and `<layer>.groups` U32 `[tokens, k]`.
 * @throws HireError of the families HIRE-PACK and HIRE-RUN; no output is left behind then.
 */
export async function runFile(compiled: CompiledSources, options: RunOptions): Promise<RunSummary> {
  const { plan } = compiled;
  await refuseToReplace(options.output, [options.input, options.pack], "HIRE-RUN-009");
  const input = await openSafetensors(options.input);
  try {
    const wanted = options.layer === undefined ? layersWithInput(plan, input) : [options.layer];
    const inputs = new Map<string, Float32Array>();
    for (const name of wanted) inputs.set(name, await readInput(name, requireLayer(plan, name), input));
    const { runner, close, ...where } = await openRunner(compiled, wanted, options);
    try {
      const outputs: TensorSource[] = [];
      const layers: RunSummary["layers"][number][] = [];
      const tokensOf = (name: string, x: Float32Array) => x.length / plan.layers[name]!.inputs;
      const total = [...inputs].reduce((sum, [name, x]) => sum + tokensOf(name, x), 0);
      let done = 0;
      for (const [name, x] of inputs) {
        const result = await runInParts(runner, name, plan.layers[name]!, x, (tokens) => {
          done += tokens;
          options.onProgress?.(done, total);
        });
        const certified = result.certified && Array.from(result.certified).filter((flag) => flag === 1).length;
        layers.push({ layer: name, tokens: tokensOf(name, x), ...(certified !== undefined && { certified }) });
        outputs.push(...resultTensors(name, tokensOf(name, x), result));
      }
      await writeSafetensors(options.output, outputs, { hirec_model: plan.model }, "HIRE-RUN-009");
      return { ...where, layers };
    } finally {
      close();
    }
  } finally {
    await input.close();
  }
}

/** Launches between two reports of progress; also bounds what is queued on the device at once. */
const LAUNCHES_PER_PART = 8;

/** What a layer returns for all tokens, by name. */
type ResultArray = Float32Array | Uint32Array | Uint8Array;
type Result = Readonly<Record<string, ResultArray>>;

function emptyLike(values: ResultArray | Float64Array, length: number): ResultArray {
  if (values instanceof Uint32Array) return new Uint32Array(length);
  return values instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length);
}

async function runInParts(
  runner: LayerRunner,
  name: string,
  { inputs, batch }: LayerPlan,
  x: Float32Array,
  onPart: (tokens: number) => void,
): Promise<Result> {
  const tokens = x.length / inputs;
  const whole: Record<string, ResultArray> = {};
  const part = LAUNCHES_PER_PART * batch;
  for (let first = 0; first < tokens; first += part) {
    const last = Math.min(tokens, first + part);
    const result = await runner(name, x.subarray(first * inputs, last * inputs));
    for (const [name, values] of Object.entries(result) as [string, ResultArray | Float64Array][]) {
      const each = values.length / (last - first);
      whole[name] ??= emptyLike(values, tokens * each);
      whole[name].set(values, first * each);
    }
    onPart(last - first);
  }
  return whole;
}

async function openRunner({ plan, sources }: CompiledSources, layers: readonly string[], options: RunOptions) {
  const pack = await openPack(options.pack, plan);
  try {
    if (options.device === "reference") {
      const references = new Map(
        await Promise.all(
          layers.map(
            async (name) => [name, await createReference(name, requireLayer(plan, name), pack.weights)] as const,
          ),
        ),
      );
      const runner: LayerRunner = (layer, x) => references.get(layer)!.run(x);
      return { runner, close: () => {}, device: "float64 on the CPU", kind: "reference" as const };
    }
    const { device, description, kind, close } = await requestNodeDevice(options.device);
    try {
      const model = await loadModel(device, { plan, sources }, pack.weights, {
        layers,
        ...(options.profile !== undefined && { profile: options.profile }),
      });
      const runner: LayerRunner = (layer, x) => model.layers[layer]!.run(x);
      return { runner, close, device: description, kind, profile: model.profile };
    } catch (thrown) {
      close();
      throw thrown;
    }
  } finally {
    await pack.close();
  }
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

async function readInput(name: string, { inputs }: LayerPlan, file: SafetensorsFile): Promise<Float32Array> {
  const tensor = file.tensors.get(`${name}.input`);
  const fix = `Store the tokens as tensor "${name}.input", F32 [tokens, ${inputs}], with at least one token`;
  if (!tensor) throw badInput(`${file.path} holds no tensor "${name}.input"`, fix);
  const { dtype, shape } = tensor;
  if (dtype !== "F32" || shape.length !== 2 || shape[1] !== inputs || shape[0] === 0) {
    throw badInput(`Tensor "${name}.input" in ${file.path} is ${dtype} [${shape}], not F32 [tokens, ${inputs}]`, fix);
  }
  const bytes = await file.read(tensor);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

function badInput(message: string, fix: string): HireError {
  return new HireError({ code: "HIRE-RUN-002", message, fix });
}

const DTYPES = { Float32Array: "F32", Uint32Array: "U32", Uint8Array: "U8" } as const;

function resultTensors(layer: string, tokens: number, result: Result): TensorSource[] {
  return Object.entries(result).map(([name, values]) => ({
    name: `${layer}.${name}`,
    dtype: DTYPES[values.constructor.name as keyof typeof DTYPES],
    // One flag per token needs no second dimension.
    shape: values instanceof Uint8Array ? [tokens] : [tokens, values.length / tokens],
    bytes: () => new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  }));
}
