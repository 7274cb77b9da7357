// The reference against a computation that does not go through packed tensors. The reference is what every backend is
// compared with, so this is where an error that all of them share would show.

import { describe, expect, test } from "vitest";
import { dense } from "../../dsl/index.ts";
import { better } from "../../runtime/reference/order.ts";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { compileCase, LAYER } from "../cases/compile-case.ts";
import { judgeClaim } from "../cases/judge-certified.ts";
import { compare, oracle, sorted } from "../cases/oracle.ts";
import { resultOf } from "../cases/selected.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";

describe("the reference finds what the original weights and their codes give", () => {
  test.each(SOFTMAX_CASES.map((each) => [each.name, each] as const))("%s", async (_name, softmaxCase) => {
    const compiled = compileCase(softmaxCase);
    const { layer, data } = compiled;
    const reference = await createReferenceSoftmax(LAYER, layer, compiled.weights);
    const expectedOf = oracle(layer, data);
    const found = await reference.run(data.x, data.taken);
    for (let token = 0; token < softmaxCase.tokens; token++) {
      const x = data.x.subarray(token * layer.inputs, (token + 1) * layer.inputs);
      const expected = expectedOf(x, token);
      const selected = reference.select(x, data.taken.mask);
      expect(selected.survivors).toEqual(expected.survivors.flat());
      expect(selected.candidates).toEqual(expected.candidates);
      const isWhole = found.certified?.[token] === 1 || layer.certificate?.kind === "fallback";
      const ofAll = sorted(expected.options.allowed, expected.exact).slice(0, layer.k);
      const best = isWhole ? ofAll : expected.best;
      const result = resultOf(found, layer.k, token);
      expect(Array.from(result.indices).slice(0, best.length)).toEqual(best);
      best.forEach((row, rank) => {
        const value = result.values[rank]!;
        const { value: wanted } = expected.options.finalOf({ value: expected.exact[row]!, slack: 0 });
        expect(compare(value, wanted), `row ${row}: ${value}`).toBe(0);
        expect(Object.is(value, -0)).toBe(false);
      });
      expect(judgeClaim("rounded", layer, expected, result)).toEqual([]);
    }
  });
});

describe("rows are ordered", () => {
  /** Row numbers of the given scores, best first, as a layer of one input returns them. */
  async function order(scores: readonly number[]) {
    const compiled = compileCase({
      name: `scores ${scores}`,
      layer: { inputs: 1, rows: scores.length, dtype: "f32", estimator: dense(), k: scores.length },
      tokens: 1,
      weights: ({ data }) => data.set(scores),
      inputs: ({ data }) => data.fill(1),
      comparison: "exact",
    });
    const { indices, values } = await (await createReferenceSoftmax(LAYER, compiled.layer, compiled.weights)).run(
      compiled.data.x,
    );
    return { rows: [...indices], values: [...values] };
  }

  test("NaN first, then infinity, numbers descending, and -infinity", async () => {
    const { rows, values } = await order([1, Number.NEGATIVE_INFINITY, Number.NaN, 3, Number.POSITIVE_INFINITY, -2]);
    expect(rows).toEqual([2, 4, 3, 0, 5, 1]);
    expect(values).toEqual([Number.NaN, Number.POSITIVE_INFINITY, 3, 1, -2, Number.NEGATIVE_INFINITY]);
  });

  test("the lower row first where scores are equal, also as NaN or as infinities", async () => {
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    expect((await order([5, nan, 5, inf, nan, -inf, inf, -inf])).rows).toEqual([1, 4, 3, 6, 0, 2, 5, 7]);
  });

  test("zeros of either sign and subnormal numbers as equal, and returned as +0", async () => {
    const { rows, values } = await order([-0, 0, 2 ** -127, -(2 ** -149), 2 ** -126, -(2 ** -126)]);
    expect(rows).toEqual([4, 0, 1, 2, 3, 5]);
    expect(values).toEqual([2 ** -126, 0, 0, 0, 0, -(2 ** -126)]);
  });

  test("so that exactly one of any two rows is better than the other", () => {
    const values = [Number.NaN, Number.POSITIVE_INFINITY, 2, 2 ** -126, 2 ** -127, 0, -0, -1, Number.NEGATIVE_INFINITY];
    for (const a of values) {
      for (const b of values) {
        expect(better(a, 3, b, 7)).toBe(!better(b, 7, a, 3));
        expect(better(a, 3, b, 7)).toBe(compare(a, b) >= 0);
      }
    }
  });
});
