// Some of the cases on Mesa's lavapipe, whose subgroups have another size than SwiftShader's. HIREC_LONG=1 runs all of
// test/software there (vitest.config.ts); compiling every kernel with LLVM takes minutes.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { NodeDevice } from "../../runtime/node/device.ts";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { loadModel } from "../../runtime/webgpu/model.ts";
import { compileCase, LAYER } from "../cases/compile-case.ts";
import { judgeClaim } from "../cases/judge-certified.ts";
import { oracle } from "../cases/oracle.ts";
import { resultOf, rowOf } from "../cases/selected.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";
import { requestTestDevice } from "../software/device.ts";
import { findLavapipe } from "./find.ts";

/** One case in so many. */
const STEP = 12;

const manifest = findLavapipe();
const why = manifest ? "" : ", skipped: there is none, or none that Dawn takes";

describe.skipIf(!manifest)(`lavapipe${why}`, () => {
  let lavapipe: NodeDevice;
  beforeAll(async () => {
    lavapipe = await requestTestDevice(manifest);
  });
  afterAll(() => lavapipe.close());

  const few = SOFTMAX_CASES.filter(({ layer }, i) => i % STEP === 0 && layer.estimator.kind !== "dense");
  test.each(few.map((each) => [each.name, each] as const))("%s", { timeout: 120_000 }, async (_name, softmaxCase) => {
    const compiled = compileCase(softmaxCase);
    const { layer, data, weights } = compiled;
    const model = await loadModel(lavapipe.device, compiled, weights, { profile: "webgpu-subgroups" });
    const found = await model.softmax(LAYER).run(data.x, data.taken);
    model.destroy();
    const wanted = await (await createReferenceSoftmax(LAYER, layer, weights)).run(data.x, data.taken);
    const expectedOf = oracle(layer, data);
    for (let token = 0; token < softmaxCase.tokens; token++) {
      const best = Array.from(rowOf(wanted.indices, layer.k, token));
      const expected = { ...expectedOf(rowOf(data.x, layer.inputs, token), token), best };
      expect(judgeClaim(softmaxCase.comparison, layer, expected, resultOf(found, layer.k, token))).toEqual([]);
    }
  });
});
