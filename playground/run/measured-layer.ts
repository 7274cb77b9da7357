// What a layer is measured with: its weights and tokens, tiny-lm's own or random ones that are the same each time.

import { randomWords } from "../../compiler/tune/random-layer.ts";
import { type WeightTensor, weightTensors } from "../../runtime/pack/weight-tensors.ts";
import { toBf16, toF16 } from "../../runtime/pack/weights.ts";
import type { LayerPlan } from "../../runtime/plan.ts";
import { fetchWeights, type LayerWeights, weightsOf } from "../tiny-lm/files.ts";
import { partOfTinyLm } from "../tiny-lm/part.ts";
import { recordInputs } from "../tiny-lm/recorded-inputs.ts";
import type { OnProgress } from "../worker/serve.ts";

export interface MeasuredLayer {
  readonly weights: LayerWeights;
  /** f32 `[tokens, inputs]`. */
  readonly x: Float32Array;
  /** Other inputs of the same kind, f32 `[128, inputs]`, for what is fitted to some. */
  readonly fitting: Float32Array;
}

const FITTING_TOKENS = 128;

/** Weights and inputs of tiny-lm. @param tokens at most 128. */
export async function tinyLmLayer(plan: LayerPlan, tokens: number, onProgress: OnProgress): Promise<MeasuredLayer> {
  const file = await fetchWeights((share) => onProgress({ label: "Fetching tiny-lm", share }));
  const weights = await weightsOf(plan, file);
  onProgress({ label: "Reading held-out text with tiny-lm" });
  const inputs = await recordInputs(file, partOfTinyLm(plan)!, [0, 12]);
  const [fitting, x] = [inputs.slice(0, FITTING_TOKENS * plan.inputs), inputs.slice(FITTING_TOKENS * plan.inputs)];
  return { weights, x: x.slice(0, tokens * plan.inputs), fitting };
}

/**
 * Normal numbers everywhere: of weights with the variance 1 / columns, so that scores of tokens with the variance 1 have it too;
 * of biases with the deviation 0.1.
 */
export function randomLayer(plan: LayerPlan, tokens: number): MeasuredLayer {
  const weights: Partial<Record<WeightTensor["role"], Uint8Array>> = {};
  for (const { role, name, shape } of weightTensors(plan)) {
    const [first, columns] = shape as [number, number?];
    const deviation = columns === undefined ? 0.1 : 1 / Math.sqrt(columns);
    weights[role] = normalNumbers(name, first * (columns ?? 1), deviation, plan.dtype);
  }
  const floats = (name: string, count: number) =>
    new Float32Array(normalNumbers(name, count * plan.inputs, 1, "f32").buffer);
  return { weights, x: floats("tokens", tokens), fitting: floats("fitting", FITTING_TOKENS) };
}

const TABLE = 65_536;
const BITS = { bf16: toBf16, f16: toF16 };

/** Drawn from a table of so many normal numbers: hundreds of millions take a second or two instead of a minute. */
function normalNumbers(
  seed: string,
  count: number,
  deviation: number,
  dtype: LayerPlan["dtype"],
): Uint8Array<ArrayBuffer> {
  const next = randomWords(seed);
  const uniform = () => (next() + 0.5) / 2 ** 32;
  // Box and Muller.
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  const table = Float32Array.from({ length: TABLE }, () => deviation * normal());
  const numbers = dtype === "f32" ? new Float32Array(count) : new Uint16Array(count);
  const choices = dtype === "f32" ? table : Uint16Array.from(table, BITS[dtype]);
  for (let i = 0; i < count; i += 2) {
    const word = next();
    numbers[i] = choices[word & 0xffff]!;
    numbers[i + 1] = choices[word >>> 16]!;
  }
  return new Uint8Array(numbers.buffer);
}
