// Layers of every kind through their emitted packages: operators, checks, batches and launches, with real kernels on the CPU.

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileModel } from "../../compiler/index.ts";
import { defineModel, softmax } from "../../dsl/index.ts";
import type { SoftmaxInputs } from "../../runtime/inputs.ts";
import type { WeightSource } from "../../runtime/layer.ts";
import type { FfnPlan, Plan, SoftmaxPlan } from "../../runtime/plan.ts";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { CERTIFY_CASES } from "../cases/certify-cases.ts";
import { LAYER, packed } from "../cases/compile-case.ts";
import { ffnModel, packedFfn } from "../cases/compile-ffn.ts";
import { ESTIMATOR_CASES } from "../cases/estimator-cases.ts";
import { type FfnCase, ffnData } from "../cases/ffn-case.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import { ffnOracle, judgeFfn } from "../cases/ffn-oracle.ts";
import { judgeClaim } from "../cases/judge-certified.ts";
import { OPTION_CASES } from "../cases/option-cases.ts";
import { oracle } from "../cases/oracle.ts";
import { resultOf, rowOf } from "../cases/selected.ts";
import { caseData, type SoftmaxCase } from "../cases/softmax-case.ts";
import { STATISTICAL_CASES } from "../cases/statistical-cases.ts";
import { buildLibraries, packBytes, whyNoPackages, writeFiles } from "./build.ts";
import { runPython, type Torch } from "./python.ts";
import { floats, rows } from "./results.ts";

const missing = await whyNoPackages();

interface Compiled {
  readonly plan: Plan;
  readonly files: ReadonlyMap<string, string>;
  readonly x: Float32Array;
  readonly taken: SoftmaxInputs;
  readonly weights: WeightSource;
}

const softmaxCases: readonly SoftmaxCase[] = [
  ...named(
    OPTION_CASES,
    /: mask$/,
    /: a mask that is not given$/,
    /: everything$/,
    /: one row less than k is allowed$/,
  ),
  ...named(CERTIFY_CASES, /fallback: random$/, /report, and options: random$/),
  ...named(ESTIMATOR_CASES, /^rank .* int8 activations/, /^int3 /),
  ...named(STATISTICAL_CASES, /: random$/),
];
const ffnCases: readonly FfnCase[] = [
  FFN_CASES.find(({ bias, layer }) => bias?.down && layer.gated !== false)!,
  FFN_CASES.find(({ layer }) => layer.gated === false)!,
  FFN_CASES.find(({ layer }) => layer.estimator.kind === "lowRank")!,
];

function named(cases: readonly SoftmaxCase[], ...names: readonly RegExp[]): SoftmaxCase[] {
  return names.map((wanted) => {
    const found = cases.find(({ name }) => wanted.test(name));
    if (found) return found;
    throw new Error(`no case is named like ${wanted}`);
  });
}

function compileSoftmax(softmaxCase: SoftmaxCase): Compiled {
  const model = defineModel("case", { [LAYER]: softmax({ crossover: "ignore", ...softmaxCase.layer, weight: LAYER }) });
  const { plan, files } = compileModel(model, { targets: ["torch"] });
  const data = caseData(softmaxCase);
  return { plan, files, x: data.x, taken: data.taken, weights: packed(plan.layers[LAYER] as SoftmaxPlan, data) };
}

function compileFeedForward(ffnCase: FfnCase): Compiled {
  const { plan, files } = compileModel(ffnModel(ffnCase), { targets: ["torch"] });
  const data = ffnData(ffnCase);
  return { plan, files, x: data.x, taken: {}, weights: packedFfn(plan.layers[LAYER] as FfnPlan, data) };
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-torch-layers-"));
});
afterAll(() => rm(folder, { recursive: true }));

let cases = 0;

/** What the layer's module returns, by the names of its fields. */
async function run({ plan, files, x, taken, weights }: Compiled, torch: Torch) {
  const own = join(folder, String(cases++));
  await writeFiles(own, files);
  const path = (name: string) => join(own, name);
  await writeFile(path("pack"), await packBytes(plan, weights));
  await writeFile(path("x"), x);
  await mkdir(path("out"));
  for (const [name, values] of Object.entries(taken)) await writeFile(path(name), values);
  const job = {
    folder: own,
    layer: LAYER,
    tokens: x.length / plan.layers[LAYER]!.inputs,
    pack: path("pack"),
    x: path("x"),
    out: path("out"),
    ...Object.fromEntries(Object.keys(taken).map((name) => [name, path(name)])),
  };
  await writeFile(path("job.json"), JSON.stringify(job));
  const libraries = await buildLibraries(plan, files);
  // Nothing of another run, nor of the user's, is found in the cache.
  const env = { XDG_CACHE_HOME: path("cache") };
  const { fields, dtypes } = JSON.parse(await runPython("run_layer.py", [path("job.json")], { libraries, torch, env }));
  const outputs: Record<string, Uint8Array<ArrayBuffer>> = {};
  for (const field of fields) outputs[field] = Uint8Array.from(await readFile(join(path("out"), field)));
  return { outputs, dtypes: Object.fromEntries(fields.map((field: string, i: number) => [field, dtypes[i]])) };
}

// A real torch takes seconds to load, and what it adds is its own checks of operators: fewer cases do.
const REAL = /everything$|fallback: random$|low rank/;

describe.each(["fake", "real"] as const)("with a %s torch", (torch) => {
  const why = missing[torch];
  const isRun = ({ name }: { readonly name: string }) => torch === "fake" || REAL.test(name);
  describe.skipIf(why)(`layers of an emitted package${why ? `, skipped: ${why}` : ""}`, () => {
    test.each(softmaxCases.filter(isRun))("$name", async (softmaxCase) => {
      const compiled = compileSoftmax(softmaxCase);
      const layer = compiled.plan.layers[LAYER] as SoftmaxPlan;
      const data = caseData(softmaxCase);
      const { outputs, dtypes } = await run(compiled, torch);
      expect(dtypes).toMatchObject({ indices: "torch.int64", values: "torch.float32" });
      if (layer.certificate) expect(dtypes.certified).toBe("torch.bool");
      const found = {
        indices: rows(outputs.indices!),
        values: floats(outputs.values!),
        ...(layer.certificate && { certified: outputs.certified! }),
        ...(layer.logSumExp && { lse: floats(outputs.lse!) }),
        ...(layer.sampler && { sampled: rows(outputs.sampled!) }),
      };
      const reference = await createReferenceSoftmax(LAYER, layer, compiled.weights);
      const wanted = await reference.run(data.x, data.taken);
      const expectedOf = oracle(layer, data);
      for (let token = 0; token < softmaxCase.tokens; token++) {
        const expected = expectedOf(rowOf(data.x, layer.inputs, token), token);
        const best = Array.from(rowOf(wanted.indices, layer.k, token));
        const result = resultOf(found, layer.k, token);
        expect(judgeClaim(softmaxCase.comparison, layer, { ...expected, best }, result)).toEqual([]);
      }
    });

    test.each(ffnCases.filter(isRun))("$name", async (ffnCase) => {
      const compiled = compileFeedForward(ffnCase);
      const layer = compiled.plan.layers[LAYER] as FfnPlan;
      const { outputs, dtypes } = await run(compiled, torch);
      expect(dtypes).toEqual({ output: "torch.float32", groups: "torch.int64" });
      const expectedOf = ffnOracle(ffnCase, layer, ffnData(ffnCase));
      for (let token = 0; token < ffnCase.tokens; token++) {
        const result = {
          output: rowOf(floats(outputs.output!), layer.outputs, token),
          groups: rowOf(rows(outputs.groups!), layer.k, token),
        };
        const expected = expectedOf(rowOf(compiled.x, layer.inputs, token));
        expect(judgeFfn(ffnCase.comparison, layer, expected, result)).toEqual([]);
      }
    });
  });
});
