// Every case of the table on the emitted CUDA sources, compiled for the CPU, against float64.

import { beforeAll, describe, expect, test } from "vitest";
import { createReferenceSoftmax, type ReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { LAYER } from "../cases/compile-case.ts";
import { rowOf, selected } from "../cases/selected.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";
import { buildProgram, whyNoCompiler } from "./build.ts";
import { isSameEverywhere, locate, softmaxProblems } from "./judge-written.ts";
import { CUDA, compileForCuda, differences, runOnCpu, SMALL_CUDA, type Written } from "./run.ts";

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
    let reference: ReferenceSoftmax;
    let written: Written[][];

    beforeAll(async () => {
      reference = await createReferenceSoftmax(LAYER, layer, compiled.weights);
      written = await runOnCpu(await buildProgram(compiled.kernels, "poison"), compiled, SEEDS);
    });

    test("returns what the reference returns", async () => {
      expect(await softmaxProblems(softmaxCase, compiled, reference, written[0]!)).toEqual([]);
    });

    test("the order of blocks and threads changes nothing that is returned or kept", () => {
      for (const launches of written.slice(1)) {
        launches.forEach((launch, i) => {
          expect(differences(launch, written[0]![i]!)).toEqual([]);
        });
      }
    });

    if (!isSameEverywhere(softmaxCase)) return;

    test("the rows that survive and the candidates are the reference's", () => {
      for (let token = 0; token < softmaxCase.tokens; token++) {
        const { launch, place } = locate(compiled, written[0]!, token);
        const { survivors, candidates } = reference.select(rowOf(data.x, layer.inputs, token), data.taken.mask);
        expect(selected(layer, launch.get("survivors")!, place)).toEqual({ survivors, candidates });
      }
    });
  });
});
