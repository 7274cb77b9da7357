// A small model with a known answer.

import { defineModel, dense, ffn, quantized, softmax } from "../../../dsl/index.ts";
import type { LayerResult, WeightSource } from "../../../runtime/layer.ts";
import type { CompiledSources } from "../../../runtime/model.ts";
import { packWeights } from "../../../runtime/pack/weight-tensors.ts";
import type { Plan } from "../../../runtime/plan.ts";
import { createReference } from "../../../runtime/reference/layer.ts";

const INPUTS = 64;
const ROWS = 512;

export interface Trial {
  readonly compiled: CompiledSources;
  readonly weights: WeightSource;
  readonly x: Float32Array;
  readonly expected: Readonly<Record<string, LayerResult>>;
}

export async function prepareTrial(): Promise<Trial> {
  const { compileModel } = await import("../../index.ts");
  const shape = { inputs: INPUTS, rows: ROWS, dtype: "f32", weight: "weight", k: 8, batch: 2 } as const;
  const model = defineModel("doctor", {
    quantized: softmax({ ...shape, estimator: quantized({ bits: 4 }) }),
    dense: softmax({ ...shape, estimator: dense() }),
    ffn: ffn({
      ...{ inputs: INPUTS, hidden: ROWS, dtype: "f32", gated: false, weights: { up: "up", down: "down" } },
      ...{ activation: (z) => Math.max(z, 0), estimator: quantized({ bits: 4 }), k: 8, batch: 2 },
    }),
  });
  const { plan, files } = compileModel(model, { targets: ["wgsl", "cuda"] });
  const weights = packTrial(plan);
  const x = wholeNumbers(2 * INPUTS, 7);
  const expected: Record<string, LayerResult> = {};
  for (const [name, layer] of Object.entries(plan.layers)) {
    expected[name] = await (await createReference(name, layer, weights)).run(x);
  }
  return { compiled: { plan, sources: Object.fromEntries(files) }, weights, x, expected };
}

function packTrial(plan: Plan): WeightSource {
  const bytes = new Uint8Array(wholeNumbers(ROWS * INPUTS, 1).buffer);
  const packed = Object.values(plan.layers).flatMap((layer) =>
    packWeights(layer, { weight: bytes, up: bytes, down: bytes }),
  );
  const data = new Map(packed.map((tensor) => [tensor.name, tensor.data]));
  return ({ name }) => data.get(name)!;
}

/** Small whole numbers: their sums are exact in f32, so every device must give the same bits. */
function wholeNumbers(count: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 28) - 8;
  });
}

/** @throws Error when a layer returns anything but what the reference does. */
export async function compareLayers(
  { x, expected }: Trial,
  layers: Readonly<Record<string, { run(x: Float32Array): Promise<LayerResult> }>>,
  where: string,
): Promise<void> {
  for (const [name, layer] of Object.entries(layers)) {
    const result = await layer.run(x);
    const wanted = Object.entries(expected[name]!);
    const found: Readonly<Record<string, unknown>> = { ...result };
    if (wanted.some(([part, values]) => String(found[part]) !== String(values))) {
      throw new Error(`${where} gives wrong results for layer ${name}`);
    }
  }
}
