// Every case of the table on the emitted CUDA sources, compiled for the CPU, against float64.

import { beforeAll, describe, expect, test } from "vitest";
import { createReferenceSoftmax, type ReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { LAYER } from "../cases/compile-case.ts";
import { judgeClaim } from "../cases/judge-certified.ts";
import { type Expected, oracle } from "../cases/oracle.ts";
import { resultOf, rowOf, selected } from "../cases/selected.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";
import { buildProgram, whyNoCompiler } from "./build.ts";
import { CUDA, type CudaCase, compileForCuda, differences, runOnCpu, SMALL_CUDA, type Written } from "./run.ts";

/** Orders of blocks and threads. */
const SEEDS = [1, 2];

const missing = await whyNoCompiler();

const runs = SOFTMAX_CASES.flatMap((each) => {
  const onCuda = { name: each.name, softmaxCase: each, compiled: compileForCuda(each, CUDA) };
  const onSmall = {
    name: `${each.name}, little shared memory`,
    softmaxCase: each,
    compiled: compileForCuda(each, SMALL_CUDA),
  };
  const differ = onCuda.compiled.kernels.some(({ source }, i) => source !== onSmall.compiled.kernels[i]?.source);
  return differ ? [onCuda, onSmall] : [onCuda];
});

describe.skipIf(missing)(`CUDA sources on the CPU${missing ? `, skipped: ${missing}` : ""}`, () => {
  beforeAll(async () => {
    await Promise.all(runs.map(({ compiled }) => buildProgram(compiled.kernels, "poison")));
  }, 300_000);

  describe.each(runs)("$name", ({ softmaxCase, compiled }) => {
    const { layer, data } = compiled;
    const { estimator } = softmaxCase.layer;
    let reference: ReferenceSoftmax;
    let expected: Expected[];
    let written: Written[][];

    // Elsewhere rounding decides between rows that nearly tie.
    const isSame =
      estimator.kind === "dense" ? softmaxCase.comparison === "exact" : estimator.options.activations !== "f32";

    beforeAll(async () => {
      reference = await createReferenceSoftmax(LAYER, layer, compiled.weights);
      const expectedOf = oracle(layer, data);
      expected = tokens(softmaxCase.tokens, (token) => expectedOf(rowOf(data.x, layer.inputs, token), token));
      written = await runOnCpu(await buildProgram(compiled.kernels, "poison"), compiled, SEEDS);
    });

    test("returns what the reference returns", async () => {
      const wanted = await reference.run(data.x, data.taken);
      for (let token = 0; token < softmaxCase.tokens; token++) {
        const best = Array.from(rowOf(wanted.indices, layer.k, token));
        const { launch, place } = locate(compiled, written[0]!, token);
        const floats = (name: string) => new Float32Array(launch.get(name)!.buffer);
        const result = resultOf(
          {
            indices: launch.get("indices")!,
            values: floats("values"),
            ...(layer.certificate && { certified: Uint8Array.from(launch.get("certified")!) }),
            ...(layer.logSumExp && { lse: floats("lse") }),
            ...(layer.sampler && { sampled: launch.get("sampled")! }),
          },
          layer.k,
          place,
        );
        expect(judgeClaim(softmaxCase.comparison, layer, { ...expected[token]!, best }, result)).toEqual([]);
        // Where nothing is rounded, the flags are no matter of backends either.
        if (isSame && softmaxCase.comparison === "exact") expect(result.certified).toBe(wanted.certified?.[token]);
      }
    });

    test("the order of blocks and threads changes nothing that is returned or kept", () => {
      for (const launches of written.slice(1)) {
        launches.forEach((launch, i) => {
          expect(differences(launch, written[0]![i]!)).toEqual([]);
        });
      }
    });

    if (!isSame) return;

    test("the rows that survive and the candidates are the reference's", () => {
      for (let token = 0; token < softmaxCase.tokens; token++) {
        const { launch, place } = locate(compiled, written[0]!, token);
        const { survivors, candidates } = reference.select(rowOf(data.x, layer.inputs, token), data.taken.mask);
        expect(selected(layer, launch.get("survivors")!, place)).toEqual({ survivors, candidates });
      }
    });
  });
});

function tokens<Value>(count: number, of: (token: number) => Value): Value[] {
  return Array.from({ length: count }, (_, token) => of(token));
}

/** The launch that a token was in, and its place there. */
function locate({ layer }: CudaCase, launches: readonly Written[], token: number) {
  return { launch: launches[Math.floor(token / layer.batch)]!, place: token % layer.batch };
}
