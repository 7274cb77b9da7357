// The cases of the table on the software adapter. Nearly all of the time goes into compiling kernels, so that two test files
// hold a half each.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { NodeDevice } from "../../runtime/node/device.ts";
import { createReferenceSoftmax, type ReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { type GpuModel, loadModel } from "../../runtime/webgpu/model.ts";
import { type CompiledCase, compileCase, LAYER } from "../cases/compile-case.ts";
import { judgeClaim } from "../cases/judge-certified.ts";
import { type Expected, oracle } from "../cases/oracle.ts";
import { resultOf, rowOf, selected } from "../cases/selected.ts";
import type { SoftmaxCase } from "../cases/softmax-case.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";
import { requestTestDevice } from "./device.ts";
import { runKernels } from "./run-kernels.ts";

/**
 * Kernels with subgroups differ in how a row is added up, and nowhere else: the short form runs them for one case in four, and
 * HIREC_LONG=1 for all.
 */
const SUBGROUPS_STEP = process.env.HIREC_LONG === "1" ? 1 : 4;

let software: NodeDevice;

/** Dawn makes equal pipelines once for as long as someone holds the first. */
const held: GpuModel[] = [];

/** Registers the tests of the cases whose numbers are `part` modulo 2. */
export function holdSoftmaxCases(part: 0 | 1): void {
  const cases = SOFTMAX_CASES.map((softmaxCase, i) => ({
    name: softmaxCase.name,
    softmaxCase,
    profiles: profilesOf(softmaxCase, Math.floor(i / 2)),
  })).filter((_, i) => i % 2 === part);

  beforeAll(async () => {
    software = await requestTestDevice();
  });

  afterAll(() => software?.close());

  describe.each(cases)("$name", ({ softmaxCase, profiles }) => {
    const { estimator, batch = 1 } = softmaxCase.layer;
    let compiled: CompiledCase;
    let reference: ReferenceSoftmax;
    let expected: Expected[];

    // Elsewhere rounding decides between rows that nearly tie.
    const isSame =
      estimator.kind === "dense" ? softmaxCase.comparison === "exact" : estimator.options.activations !== "f32";

    beforeAll(async () => {
      compiled = compileCase(softmaxCase);
      const { layer, data, weights } = compiled;
      reference = await createReferenceSoftmax(LAYER, layer, weights);
      const expectedOf = oracle(layer, data);
      expected = Array.from({ length: softmaxCase.tokens }, (_, token) =>
        expectedOf(rowOf(data.x, layer.inputs, token), token),
      );
    });

    test.each(profiles)("%s returns what the reference returns", async (profile) => {
      const { layer, data, weights } = compiled;
      const model = await loadModel(software.device, compiled, weights, { profile });
      held.push(model);
      const found = await model.softmax(LAYER).run(data.x, data.taken);
      model.destroy();
      const wanted = await reference.run(data.x, data.taken);
      for (let token = 0; token < softmaxCase.tokens; token++) {
        const best = Array.from(rowOf(wanted.indices, layer.k, token));
        const result = resultOf(found, layer.k, token);
        expect(judgeClaim(softmaxCase.comparison, layer, { ...expected[token]!, best }, result)).toEqual([]);
        // Where nothing is rounded, the flags are no matter of devices either.
        if (isSame && softmaxCase.comparison === "exact") {
          expect(found.certified?.[token]).toBe(wanted.certified?.[token]);
        }
      }
    });

    if (!isSame) return;

    test("the rows that survive and the candidates are the reference's, whatever scratch memory held before", async () => {
      const { layer, data } = compiled;
      const x = new Float32Array(batch * layer.inputs);
      x.set(data.x.subarray(0, x.length));
      const buffers = await runKernels(software.device, compiled, "webgpu-default", x);
      for (let token = 0; token < batch; token++) {
        const found = selected(layer, buffers.get("survivors")!, token);
        const { survivors, candidates } = reference.select(rowOf(x, layer.inputs, token), data.taken.mask);
        expect(found).toEqual({ survivors, candidates });
      }
    });
  });
}

/** Exact scores are not computed twice, so no kernel of a dense layer uses subgroups. */
function profilesOf({ layer }: SoftmaxCase, number: number): readonly string[] {
  const withSubgroups = layer.estimator.kind !== "dense" && number % SUBGROUPS_STEP === 0;
  return withSubgroups ? ["webgpu-subgroups", "webgpu-default"] : ["webgpu-default"];
}
