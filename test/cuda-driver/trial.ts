// The model of `hirec doctor`: two heads and a feed-forward, of which each takes what another gives. Its numbers are whole, so
// the reference's are also what f32 holds.

import { prepareTrial } from "../../compiler/cli/doctor/trial.ts";
import type { LayerResult, SoftmaxResult } from "../../runtime/layer.ts";
import type { FloatFfnResult } from "../../runtime/layer-data.ts";

export async function trialInFloats() {
  const { expected, ...trial } = await prepareTrial();
  const floats = (result: LayerResult) =>
    Object.fromEntries(
      Object.entries(result).map(([name, values]) => [
        name,
        values instanceof Float64Array ? Float32Array.from(values) : values,
      ]),
    );
  return {
    ...trial,
    expected: {
      quantized: floats(expected.quantized!) as unknown as SoftmaxResult,
      dense: floats(expected.dense!) as unknown as SoftmaxResult,
      ffn: floats(expected.ffn!) as unknown as FloatFfnResult,
    },
  };
}

export type FloatTrial = Awaited<ReturnType<typeof trialInFloats>>;
