// The reference against a computation that does not go through packed tensors. The reference is what every backend is
// compared with, so this is where an error that all of them share would show.

import { describe, expect, test } from "vitest";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { compileCase, LAYER } from "../cases/compile-case.ts";
import { oracle } from "../cases/oracle.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";

describe("the reference finds what the original weights and their codes give", () => {
  test.each(SOFTMAX_CASES.map((each) => [each.name, each] as const))("%s", async (_name, softmaxCase) => {
    const compiled = compileCase(softmaxCase);
    const { layer, data } = compiled;
    const reference = await createReferenceSoftmax(LAYER, layer, compiled.weights);
    const expect_ = oracle(layer, data);
    const found = await reference.run(data.x);
    for (let token = 0; token < softmaxCase.tokens; token++) {
      const x = data.x.subarray(token * layer.inputs, (token + 1) * layer.inputs);
      const expected = expect_(x);
      const selected = reference.select(x);
      expect(selected.survivors).toEqual(expected.survivors.flat());
      expect(selected.candidates).toEqual(expected.candidates);
      expect(Array.from(found.indices.slice(token * layer.k, (token + 1) * layer.k))).toEqual(expected.best);
    }
  });
});
