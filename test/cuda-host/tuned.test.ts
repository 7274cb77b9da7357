// Knobs change no result: cases of the tables with every value that a knob may have, against float64 and the reference.

import { beforeAll, describe, expect, test } from "vitest";
import { check } from "../../compiler/check.ts";
import { planLayers } from "../../compiler/plan-layers.ts";
import { KNOB_NAMES, KNOBS, legalValues } from "../../compiler/tuning/knobs.ts";
import { defineModel, type Model, softmax } from "../../dsl/index.ts";
import type { TuningPlan } from "../../runtime/plan.ts";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { LAYER } from "../cases/compile-case.ts";
import { ffnModel } from "../cases/compile-ffn.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";
import { buildProgram, whyNoCompiler } from "./build.ts";
import { ffnProblems, softmaxProblems } from "./judge-written.ts";
import { CUDA, compileFfnForCuda, compileForCuda, differences, runOnCpu } from "./run.ts";

const SEEDS = [1, 2];

/** Of every kind of inner loop one, with odd sizes among them. */
const HEADS = [
  "int4 codes, group 32, int8 activations: random",
  "int4 codes, group 64, f32 activations: random",
  "int8 codes, group row, int8 activations: random",
  "dense f16, 100 inputs, batch 8: random",
  "certified int4 row, exact selection, fallback, and options: random",
  "statistical, int4 codes: random",
  "more candidates than fit into workgroup memory",
  "int8 low rank: everything",
];
const FEED_FORWARDS = [
  "ffn: common groups",
  "ffn: silu, int8 activations, two stages",
  "ffn: bias: low rank, sum, common",
];

const missing = await whyNoCompiler();

/** The knobs of CUDA; registers, which the second number of the launch bounds divides, are no matter of g++. */
const KNOBS_HERE = KNOB_NAMES.filter((name) => KNOBS[name].targets.includes("cuda") && name !== "residentThreads");

/** Each knob alone at each of its values. */
function tuningsOf(model: Model): TuningPlan[] {
  const [layer] = planLayers(check({ model, sites: [] }));
  return KNOBS_HERE.flatMap((name) => legalValues(layer!, CUDA, name).map((value) => ({ [name]: value })));
}

const heads = HEADS.flatMap((name) => {
  const softmaxCase = SOFTMAX_CASES.find((each) => each.name === name)!;
  const model = defineModel("case", { [LAYER]: softmax({ crossover: "ignore", ...softmaxCase.layer, weight: LAYER }) });
  return tuningsOf(model).map((tuning) => {
    const compiled = compileForCuda(softmaxCase, CUDA, tuning);
    const problems = async (path: string) => {
      const written = await runOnCpu(path, compiled, SEEDS);
      const reference = await createReferenceSoftmax(LAYER, compiled.layer, compiled.weights);
      return [...(await softmaxProblems(softmaxCase, compiled, reference, written[0]!)), ...disorder(written)];
    };
    return { name: `${name}, ${JSON.stringify(tuning)}`, tuning, compiled, problems };
  });
});

const feedForwards = FEED_FORWARDS.flatMap((name) => {
  const ffnCase = FFN_CASES.find((each) => each.name === name)!;
  return tuningsOf(ffnModel(ffnCase)).map((tuning) => {
    const compiled = compileFfnForCuda(ffnCase, CUDA, tuning);
    const problems = async (path: string) => {
      const written = await runOnCpu(path, compiled, SEEDS);
      return [...ffnProblems(ffnCase, compiled, written[0]!), ...disorder(written)];
    };
    return { name: `${name}, ${JSON.stringify(tuning)}`, tuning, compiled, problems };
  });
});

/** What depends on the order of blocks and threads. */
function disorder([first, ...others]: Awaited<ReturnType<typeof runOnCpu>>): string[] {
  return others.flatMap((launches) => launches.flatMap((launch, i) => differences(launch, first![i]!)));
}

const runs = [...heads, ...feedForwards];

test("every knob is turned to every value", () => {
  const turned = new Set(runs.flatMap(({ tuning }) => Object.entries(tuning).map(String)));
  const all = KNOBS_HERE.flatMap((name) => KNOBS[name].values.map((value) => `${name},${value}`));
  expect(all.filter((each) => !turned.has(each))).toEqual([]);
});

describe.skipIf(missing)(`tuned CUDA sources on the CPU${missing ? `, skipped: ${missing}` : ""}`, () => {
  beforeAll(async () => {
    await Promise.all(runs.map(({ compiled }) => buildProgram(compiled.kernels, "poison")));
  }, 300_000);

  test.each(runs.map((each) => [each.name, each] as const))("%s", async (_, { compiled, problems }) => {
    expect(await problems(await buildProgram(compiled.kernels, "poison"))).toEqual([]);
  });
});
