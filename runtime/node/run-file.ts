// Running a compiled model on tensors from a file, into a file.

import type { MeasuredRecall, MonitorOptions } from "../collective/recall-monitor.ts";
import type { CompiledCuda } from "../cuda/model.ts";
import type { LayerPlan } from "../plan.ts";
import { openLayers, type RunDevice, type RunnableLayer } from "./open-layers.ts";
import { type LayerInputs, readInputs } from "./run-inputs.ts";
import { openSafetensors, type TensorSource, writeSafetensors } from "./safetensors-file.ts";
import { refuseToReplace } from "./write-whole.ts";

export interface RunOptions {
  readonly pack: string;
  readonly input: string;
  readonly output: string;
  /** Runs only this layer; otherwise every layer whose input the file holds. */
  readonly layer?: string;
  readonly device: RunDevice;
  readonly profile?: string;
  /** Measures the recall of feed-forwards over shards. */
  readonly monitor?: MonitorOptions;
  /** Called while running: tokens done out of all tokens of all layers. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface RunSummary {
  /** Where it ran, in words. */
  readonly device: string;
  readonly kind: "hardware" | "software" | "reference";
  readonly profile?: string;
  /** Of a model over shards: those that ran in this process, out of how many, and what carried their exchange. */
  readonly shards?: { readonly own: readonly number[]; readonly count: number; readonly engine: string };
  readonly layers: readonly {
    readonly layer: string;
    readonly tokens: number;
    /** Tokens of which it is certain that no row was missed; absent when the layer is not certified. */
    readonly certified?: number;
    /** Of a feed-forward over shards, where it was asked for. */
    readonly recall?: MeasuredRecall;
  }[];
}

/**
 * Reads what the layers take (`readInputs`); writes of an output head `<layer>.indices` U32 and `<layer>.values` F32
 * `[tokens, k]`, and where it has them `<layer>.certified` U8, `<layer>.lse` F32 and `<layer>.sampled` U32 `[tokens]`; of a
 * feed-forward `<layer>.output` F32 `[tokens, outputs]` and `<layer>.groups` U32 `[tokens, k]`.
 * @throws HireError of the families HIRE-PACK and HIRE-RUN; no output is left behind then.
 */
export async function runFile(compiled: CompiledCuda, options: RunOptions): Promise<RunSummary> {
  const { plan } = compiled;
  await refuseToReplace(options.output, [options.input, options.pack], "HIRE-RUN-009");
  const input = await openSafetensors(options.input);
  try {
    const inputs = await readInputs(plan, input, options.layer);
    const { layers: runnable, close, ...where } = await openLayers(compiled, [...inputs.keys()], options);
    try {
      const outputs: TensorSource[] = [];
      const layers: RunSummary["layers"][number][] = [];
      const tokensOf = (name: string, { x }: LayerInputs) => x.length / plan.layers[name]!.inputs;
      const total = [...inputs].reduce((sum, [name, taken]) => sum + tokensOf(name, taken), 0);
      let done = 0;
      for (const [name, taken] of inputs) {
        const result = await runInParts(runnable[name]!, plan.layers[name]!, taken, (tokens) => {
          done += tokens;
          options.onProgress?.(done, total);
        });
        const tokens = tokensOf(name, taken);
        const certified = result.certified && Array.from(result.certified).filter((flag) => flag === 1).length;
        const recall = runnable[name]!.recall?.();
        layers.push({ layer: name, tokens, ...(certified !== undefined && { certified }), ...(recall && { recall }) });
        outputs.push(...resultTensors(name, tokens, result));
      }
      // All shards have the same results; the first writes them.
      if (where.shards === undefined || where.shards.own.includes(0)) {
        await writeSafetensors(options.output, outputs, { hirec_model: plan.model }, "HIRE-RUN-009");
      }
      return { ...where, layers };
    } finally {
      await close();
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

export async function runInParts(
  layer: RunnableLayer,
  { inputs, batch }: LayerPlan,
  { x, mask, uniforms }: LayerInputs,
  onPart: (tokens: number) => void,
): Promise<Result> {
  const tokens = x.length / inputs;
  const whole: Record<string, ResultArray> = {};
  const part = LAUNCHES_PER_PART * batch;
  for (let first = 0; first < tokens; first += part) {
    const last = Math.min(tokens, first + part);
    const result = await layer.run(x.subarray(first * inputs, last * inputs), {
      ...(mask && { mask }),
      ...(uniforms && { uniforms: uniforms.subarray(first, last) }),
    });
    for (const [name, values] of Object.entries(result) as [string, ResultArray | Float64Array][]) {
      const each = values.length / (last - first);
      whole[name] ??= emptyLike(values, tokens * each);
      whole[name].set(values, first * each);
    }
    onPart(last - first);
  }
  return whole;
}

const DTYPES = { Float32Array: "F32", Uint32Array: "U32", Uint8Array: "U8" } as const;

/** Results that are one number per token, and need no second dimension. */
const PER_TOKEN: readonly string[] = ["certified", "lse", "sampled"];

function resultTensors(layer: string, tokens: number, result: Result): TensorSource[] {
  return Object.entries(result).map(([name, values]) => ({
    name: `${layer}.${name}`,
    dtype: DTYPES[values.constructor.name as keyof typeof DTYPES],
    shape: PER_TOKEN.includes(name) ? [tokens] : [tokens, values.length / tokens],
    bytes: () => new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  }));
}
