// Small layers over the whole language, with random weights, on the software adapter against the reference and against what
// they mean. The same ones every time, each a test by itself, so that a failure names its layer and repeats; HIREC_LONG=1
// draws more of them, HIREC_SEED others.

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PROFILES } from "../../compiler/profiles.ts";
import type { Estimator } from "../../dsl/index.ts";
import type { NodeDevice } from "../../runtime/node/device.ts";
import { createReferenceFfn } from "../../runtime/reference/ffn.ts";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { loadModel } from "../../runtime/webgpu/model.ts";
import { compileCase, LAYER } from "../cases/compile-case.ts";
import { compileFfn } from "../cases/compile-ffn.ts";
import type { FfnCase } from "../cases/ffn-case.ts";
import { ffnOracle, judgeFfn } from "../cases/ffn-oracle.ts";
import { each, integers, normals } from "../cases/fills.ts";
import { judgeClaim } from "../cases/judge-certified.ts";
import { oracle } from "../cases/oracle.ts";
import { normal } from "../cases/random.ts";
import { feedForwards, heads, written } from "../cases/random-specs.ts";
import { RUNS, SEED } from "../cases/runs.ts";
import { resultOf, rowOf } from "../cases/selected.ts";
import type { Fill, SoftmaxCase } from "../cases/softmax-case.ts";
import { requestTestDevice } from "./device.ts";

const HEADS = 24 * RUNS;
const FEED_FORWARDS = 16 * RUNS;
const SMALL = { inputs: 200, rows: fc.integer({ min: 1, max: 400 }), candidates: 100 };

/** A basis from activations differs from one from weights only when it is packed. */
const isPackedAlone = ({ estimator }: { readonly estimator: Estimator }) =>
  estimator.kind !== "lowRank" || estimator.options.basis !== "activations";

/** Numbers of every kind of layer: those whose sums are exact, which tie, and those that are rounded. */
const numbers = fc.constantFrom(
  { comparison: "exact" as const, fill: integers(3) },
  { comparison: "exact" as const, fill: integers(1) },
  { comparison: "rounded" as const, fill: normals },
);
const more = { tokens: fc.integer({ min: 1, max: 6 }), numbers, profile: fc.constantFrom(...PROFILES.wgsl) };
const allowed = [() => true, (row: number) => row % 3 !== 1, (row: number) => row < 5, () => false];
const draw = <Value>(arbitrary: fc.Arbitrary<Value>, numRuns: number) =>
  fc.sample(arbitrary, { seed: SEED, numRuns }).map((value, i) => [i, value] as const);

let software: NodeDevice;
beforeAll(async () => {
  software = await requestTestDevice();
});
afterAll(() => software?.close());

describe("a head", () => {
  const cases = fc
    .record({ layer: heads(SMALL).filter(isPackedAlone), mask: fc.constantFrom(...allowed), ...more })
    .map(({ layer, mask, tokens, numbers: { comparison, fill }, profile }) => {
      const { weight: _, ...rest } = layer;
      const softmaxCase: SoftmaxCase = {
        ...{ name: written(layer), layer: rest, tokens, weights: smaller(fill), inputs: fill, comparison },
        ...(layer.bias !== undefined && { bias: fill }),
        ...(layer.mask && { mask }),
        ...(layer.sample?.kind === "multinomial" && { uniforms: (token) => (0.137 + 0.619 * token) % 1 }),
      };
      return { softmaxCase, profile: profile.name };
    });

  test.each(draw(cases, HEADS))("%i", async (_, { softmaxCase, profile }) => {
    const compiled = compileCase(softmaxCase);
    const { layer, data, weights } = compiled;
    const expectedOf = oracle(layer, data);
    const reference = await createReferenceSoftmax(LAYER, layer, weights);
    const model = await loadModel(software.device, compiled, weights, { profile });
    const results = {
      reference: await reference.run(data.x, data.taken),
      [profile]: await model.softmax(LAYER).run(data.x, data.taken),
    };
    model.destroy();
    for (const [where, result] of Object.entries(results)) {
      for (let token = 0; token < softmaxCase.tokens; token++) {
        const expected = expectedOf(rowOf(data.x, layer.inputs, token), token);
        const problems = judgeClaim(softmaxCase.comparison, layer, expected, resultOf(result, layer.k, token));
        expect(problems.slice(0, 5), `${where}, token ${token}: ${softmaxCase.name}`).toEqual([]);
      }
    }
  });
});

describe("a feed-forward", () => {
  const cases = fc
    .record({ layer: feedForwards(SMALL).filter(isPackedAlone), ...more })
    .map(({ layer, tokens, numbers: { comparison, fill }, profile }) => {
      const { weights: _, bias = {}, ...rest } = layer;
      // Other functions round even whole numbers, and the exponential of large ones is infinite.
      const isWhole = /^\(z\) => (z|Math\.max\(z, 0\))$/.test(String(layer.activation));
      const isExact = comparison === "exact" && isWhole && typeof layer.group?.score !== "function";
      const used = isExact ? fill : normals;
      const matrices = { gate: smaller(used), up: smaller(used), down: used, inputs: used };
      const scored = layer.gated === false ? "up" : "gate";
      const biases = Object.keys(bias).map((of) => [of === scored ? "gate" : of, used]);
      const ffnCase: FfnCase = {
        ...{ bias: Object.fromEntries(biases), name: written(layer), layer: rest, tokens, ...matrices },
        comparison: isExact ? "exact" : "rounded",
      };
      return { ffnCase, profile };
    });

  test.each(draw(cases, FEED_FORWARDS))("%i", async (_, { ffnCase, profile }) => {
    const compiled = compileFfn(ffnCase, [profile]);
    const { layer, data, weights } = compiled;
    const expectedOf = ffnOracle(ffnCase, layer, data);
    const reference = await createReferenceFfn(LAYER, layer, weights);
    const model = await loadModel(software.device, compiled, weights);
    const results = { reference: await reference.run(data.x), [profile.name]: await model.ffn(LAYER).run(data.x) };
    model.destroy();
    for (const [where, result] of Object.entries(results)) {
      for (let token = 0; token < ffnCase.tokens; token++) {
        const expected = expectedOf(rowOf(data.x, layer.inputs, token));
        const found = {
          output: rowOf(result.output, layer.outputs, token),
          groups: rowOf(result.groups, layer.k, token),
        };
        const problems = judgeFfn(ffnCase.comparison, layer, expected, found);
        expect(problems.slice(0, 5), `${where}, token ${token}: ${ffnCase.name}`).toEqual([]);
      }
    }
  });
});

/** As weights are: normal numbers get smaller the more of them are added up. */
function smaller(fill: Fill): Fill {
  if (fill !== normals) return fill;
  return (matrix, random) => each(() => normal(random) / Math.sqrt(matrix.columns))(matrix, random);
}
