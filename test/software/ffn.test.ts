// Every feed-forward of the table on the software adapter, with the kernels of every profile.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PROFILES } from "../../compiler/profiles.ts";
import type { NodeDevice } from "../../runtime/node/device.ts";
import { createReferenceFfn, type ReferenceFfn } from "../../runtime/reference/ffn.ts";
import { loadModel } from "../../runtime/webgpu/model.ts";
import { LAYER } from "../cases/compile-case.ts";
import { type CompiledFfn, compileFfn } from "../cases/compile-ffn.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import { type ExpectedFfn, ffnOracle, judgeFfn } from "../cases/ffn-oracle.ts";
import { rowOf, selected } from "../cases/selected.ts";
import { requestTestDevice } from "./device.ts";
import { runKernels } from "./run-kernels.ts";

let software: NodeDevice;
beforeAll(async () => {
  software = await requestTestDevice();
});
afterAll(() => software?.close());

describe.each(FFN_CASES.map((each) => [each.name, each] as const))("%s", (_name, ffnCase) => {
  const { estimator, batch = 1 } = ffnCase.layer;
  let compiled: CompiledFfn;
  let reference: ReferenceFfn;
  let expected: ExpectedFfn[];

  beforeAll(async () => {
    compiled = compileFfn(ffnCase, PROFILES.wgsl);
    const { layer, data, weights } = compiled;
    reference = await createReferenceFfn(LAYER, layer, weights);
    const expectedOf = ffnOracle(ffnCase, layer, data);
    expected = Array.from({ length: ffnCase.tokens }, (_, token) => expectedOf(rowOf(data.x, layer.inputs, token)));
  });

  const judge = (result: { output: Float32Array | Float64Array; groups: Uint32Array }) => {
    const { layer } = compiled;
    return expected.flatMap((each, token) =>
      judgeFfn(ffnCase.comparison, layer, each, {
        output: rowOf(result.output, layer.outputs, token),
        groups: rowOf(result.groups, layer.k, token),
      }),
    );
  };

  test("the reference returns what the layer means", async () => {
    expect(judge(await reference.run(compiled.data.x))).toEqual([]);
  });

  test("the kernels return what the layer means", async () => {
    const { data, weights } = compiled;
    const model = await loadModel(software.device, compiled, weights, { profile: "webgpu-default" });
    const found = await model.ffn(LAYER).run(data.x);
    const again = await model.ffn(LAYER).run(data.x);
    model.destroy();
    expect(judge(found)).toEqual([]);
    expect(again).toEqual(found);
  });

  // Elsewhere rounding decides between groups that nearly tie.
  const isSame = estimator.kind === "dense" ? ffnCase.comparison === "exact" : estimator.options.activations !== "f32";
  if (!isSame) return;

  test("the groups that survive and the candidates are the reference's, whatever scratch memory held before", async () => {
    const { layer, data } = compiled;
    const x = new Float32Array(batch * layer.inputs);
    x.set(data.x.subarray(0, x.length));
    const buffers = await runKernels(software.device, compiled, "webgpu-default", x);
    for (let token = 0; token < batch; token++) {
      const found = selected(layer, buffers.get("survivors")!, token);
      const { survivors, candidates } = reference.select(rowOf(x, layer.inputs, token));
      expect(found).toEqual({ survivors, candidates });
    }
  });
});
