// Knobs change no result: cases of the tables with every value that a knob may have, on the software adapter.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { check } from "../../compiler/check.ts";
import { emit } from "../../compiler/emit.ts";
import { planLayers } from "../../compiler/plan-layers.ts";
import { PROFILES } from "../../compiler/profiles.ts";
import { KNOB_NAMES, KNOBS, legalValues } from "../../compiler/tuning/knobs.ts";
import { defineModel, type Model, softmax } from "../../dsl/index.ts";
import type { WeightSource } from "../../runtime/layer.ts";
import type { NodeDevice } from "../../runtime/node/device.ts";
import type { FfnPlan, SoftmaxPlan, TuningPlan } from "../../runtime/plan.ts";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { loadModel } from "../../runtime/webgpu/model.ts";
import { LAYER, packed } from "../cases/compile-case.ts";
import { ffnModel, packedFfn } from "../cases/compile-ffn.ts";
import { ffnData } from "../cases/ffn-case.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import { ffnOracle, judgeFfn } from "../cases/ffn-oracle.ts";
import { judgeClaim } from "../cases/judge-certified.ts";
import { oracle } from "../cases/oracle.ts";
import { resultOf, rowOf } from "../cases/selected.ts";
import { caseData } from "../cases/softmax-case.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";
import { requestTestDevice } from "./device.ts";

const PROFILE = PROFILES.wgsl.find(({ name }) => name === "webgpu-default")!;

const HEADS = [
  "int4 codes, group 32, int8 activations: random",
  "certified int4 row, exact selection, fallback, and options: random",
  "int8 low rank: everything",
];
const FEED_FORWARDS = ["ffn: common groups", "ffn: bias: low rank, sum, common"];

interface Run {
  readonly name: string;
  readonly tuning: TuningPlan;
  /** Loads the layer, and says what is wrong with what it returns. */
  readonly problems: () => Promise<string[]>;
}

let software: NodeDevice;
beforeAll(async () => {
  software = await requestTestDevice();
});
afterAll(() => software?.close());

async function load(model: Model, tuning: TuningPlan, weightsOf: (layer: never) => WeightSource) {
  const tunings = { [PROFILE.name]: { [LAYER]: tuning } };
  const { plan, files } = emit(check({ model, sites: [] }), [PROFILE], [], tunings);
  const layer = plan.layers[LAYER]!;
  const weights = weightsOf(layer as never);
  const loaded = await loadModel(software.device, { plan, sources: Object.fromEntries(files) }, weights);
  return { loaded, layer, weights };
}

function runsOf(name: string, model: Model, problems: (tuning: TuningPlan) => Promise<string[]>): Run[] {
  const [layer] = planLayers(check({ model, sites: [] }));
  const tunings = KNOB_NAMES.flatMap((knob) => legalValues(layer!, PROFILE, knob).map((value) => ({ [knob]: value })));
  return tunings.map((tuning) => ({
    name: `${name}, ${JSON.stringify(tuning)}`,
    tuning,
    problems: () => problems(tuning),
  }));
}

const heads = HEADS.flatMap((name) => {
  const softmaxCase = SOFTMAX_CASES.find((each) => each.name === name)!;
  const model = defineModel("case", { [LAYER]: softmax({ crossover: "ignore", ...softmaxCase.layer, weight: LAYER }) });
  return runsOf(name, model, async (tuning) => {
    const data = caseData(softmaxCase);
    const { loaded, weights, ...planned } = await load(model, tuning, (plan: SoftmaxPlan) => packed(plan, data));
    const layer = planned.layer as SoftmaxPlan;
    const result = await loaded.softmax(LAYER).run(data.x, data.taken);
    loaded.destroy();
    const wanted = await (await createReferenceSoftmax(LAYER, layer, weights)).run(data.x, data.taken);
    const expectedOf = oracle(layer, data);
    return Array.from({ length: softmaxCase.tokens }).flatMap((_, token) => {
      const best = Array.from(rowOf(wanted.indices, layer.k, token));
      const expected = { ...expectedOf(rowOf(data.x, layer.inputs, token), token), best };
      return judgeClaim(softmaxCase.comparison, layer, expected, resultOf(result, layer.k, token));
    });
  });
});

const feedForwards = FEED_FORWARDS.flatMap((name) => {
  const ffnCase = FFN_CASES.find((each) => each.name === name)!;
  const model = ffnModel(ffnCase);
  return runsOf(name, model, async (tuning) => {
    const data = ffnData(ffnCase);
    const { loaded, ...planned } = await load(model, tuning, (plan: FfnPlan) => packedFfn(plan, data));
    const layer = planned.layer as FfnPlan;
    const { output, groups } = await loaded.ffn(LAYER).run(data.x);
    loaded.destroy();
    const expectedOf = ffnOracle(ffnCase, layer, data);
    return Array.from({ length: ffnCase.tokens }).flatMap((_, token) =>
      judgeFfn(ffnCase.comparison, layer, expectedOf(rowOf(data.x, layer.inputs, token)), {
        output: rowOf(output, layer.outputs, token),
        groups: rowOf(groups, layer.k, token),
      }),
    );
  });
});

const runs = [...heads, ...feedForwards];

test("every knob is turned to every value", () => {
  const turned = new Set(runs.flatMap(({ tuning }) => Object.entries(tuning).map(String)));
  const names = KNOB_NAMES.filter((name) => KNOBS[name].targets.includes("wgsl"));
  const all = names.flatMap((name) => KNOBS[name].values.map((value) => `${name},${value}`));
  expect(all.filter((each) => !turned.has(each))).toEqual([]);
});

describe("tuned layers return what they mean", () => {
  test.each(runs.map((each) => [each.name, each] as const))("%s", async (_, { problems }) => {
    expect(await problems()).toEqual([]);
  });
});
