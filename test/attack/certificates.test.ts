// Certificates under attack, in short; `npm run attack:certificates` is the long form.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exact, quantized, twoStage } from "../../dsl/index.ts";
import type { NodeDevice } from "../../runtime/node/device.ts";
import { loadModel } from "../../runtime/webgpu/model.ts";
import { compileLayers, LAYER, packed } from "../cases/compile-case.ts";
import { encode } from "../cases/dtypes.ts";
import { judgeClaim } from "../cases/judge-certified.ts";
import { oracle } from "../cases/oracle.ts";
import { mulberry32 } from "../cases/random.ts";
import { rowOf } from "../cases/selected.ts";
import { caseData, type SoftmaxCase } from "../cases/softmax-case.ts";
import { buildProgram, whyNoCompiler } from "../cuda-host/build.ts";
import { CUDA, compileForCuda, runOnCpu } from "../cuda-host/run.ts";
import { requestTestDevice } from "../software/device.ts";
import { ATTACKS, BENIGN } from "./attacks.ts";
import type { Layer } from "./layers.ts";
import { attackCertificates, attackedNumbers, type Sabotage } from "./run.ts";

const total = (tallies: Awaited<ReturnType<typeof attackCertificates>>, of: "lostWithout" | "certified" | "layers") =>
  tallies.reduce((sum, tally) => sum + tally[of], 0);

describe("hundreds of random layers, in float64 and in f32 of any order", { timeout: 120_000 }, () => {
  test("no claim is wrong, though selections without a certificate lose the best rows, and clear winners are certified", async () => {
    const tallies = await attackCertificates({ layers: 330, seed: 7 });
    expect(tallies.flatMap(({ wrong }) => wrong)).toEqual([]);
    const benign = tallies.at(-1)!;
    expect(benign.certified).toBeGreaterThan(0.9 * benign.layers);
    // The attacks are attacks.
    const attacked = tallies.slice(0, -1);
    expect(total(attacked, "lostWithout")).toBeGreaterThan(0.3 * total(attacked, "layers"));
  });

  test.each<Sabotage>(["row errors", "token errors", "rounding"])(
    "bounds without %s are found out",
    async (sabotage) => {
      const tallies = await attackCertificates({ layers: 330, seed: 1, sabotage, untilWrong: true });
      expect(tallies.flatMap(({ wrong }) => wrong).length).toBeGreaterThan(0);
    },
  );
});

const base = { inputs: 72, rows: 210, k: 3, candidates: 9, batch: 2 } as const;

/** Layers of a few shapes, each of which meets every attack. */
const LAYERS: readonly Layer[] = [
  { ...base, dtype: "f32", estimator: quantized({ bits: 4, group: "row" }), select: exact(), certify: "report" },
  { ...base, dtype: "bf16", estimator: quantized({ bits: 8 }), certify: "fallback" },
  {
    ...base,
    dtype: "f32",
    estimator: quantized({ bits: 4, activations: "f32" }),
    select: twoStage({ recall: 0.7 }),
    certify: "fallback",
  },
];

/** The layer under every attack, one token of each: a case per attack. */
function attackedCases(layer: Layer, seed: number): SoftmaxCase[] {
  return [...ATTACKS, BENIGN].map((attack, i): SoftmaxCase => {
    const plan = compileLayers({ [LAYER]: layer }).plan.layers[LAYER]!;
    const { weights, x } = attackedNumbers(attack, plan, mulberry32(seed + i));
    return {
      name: `${attack.name} ${seed}`,
      layer,
      tokens: 1,
      weights: ({ data }) => data.set(weights),
      inputs: ({ data }) => data.set(x),
      comparison: "rounded",
    };
  });
}

describe.each(LAYERS.map((layer, i) => [i, layer] as const))("attacked kernels, layer %i", (seed, layer) => {
  let software: NodeDevice;
  beforeAll(async () => {
    software = await requestTestDevice();
  });
  afterAll(() => software?.close());

  test.each(["webgpu-subgroups", "webgpu-default"])("%s claims nothing that is wrong", async (profile) => {
    const { plan, files } = compileLayers({ [LAYER]: layer });
    const softmaxPlan = plan.layers[LAYER]!;
    for (const each of attackedCases(layer, 100 * seed)) {
      const data = caseData(each);
      const compiled = { plan, sources: Object.fromEntries(files) };
      const weights = packed(softmaxPlan, { weightBytes: encode(data.weights, softmaxPlan.dtype) });
      const model = await loadModel(software.device, compiled, weights, { profile });
      const { indices, values, certified } = await model.softmax(LAYER).run(data.x);
      model.destroy();
      const found = { indices, values, certified: certified![0]! };
      expect(judgeClaim("rounded", softmaxPlan, oracle(softmaxPlan, data)(data.x), found), each.name).toEqual([]);
    }
  });

  test("CUDA claims nothing that is wrong", async (context) => {
    const missing = await whyNoCompiler();
    if (missing) return context.skip(missing);
    for (const each of attackedCases(layer, 100 * seed + 50)) {
      const compiled = compileForCuda(each, CUDA);
      const [[launch]] = (await runOnCpu(await buildProgram(compiled.kernels, "poison"), compiled, [1])) as [
        [ReadonlyMap<string, Uint32Array>],
      ];
      const found = {
        indices: rowOf(launch.get("indices")!, compiled.layer.k, 0),
        values: rowOf(new Float32Array(launch.get("values")!.buffer), compiled.layer.k, 0),
        certified: launch.get("certified")![0]!,
      };
      const expected = oracle(compiled.layer, compiled.data)(compiled.data.x);
      expect(judgeClaim("rounded", compiled.layer, expected, found), each.name).toEqual([]);
    }
  });
});
