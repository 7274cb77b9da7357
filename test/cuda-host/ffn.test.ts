// Every feed-forward of the table on the emitted CUDA sources, compiled for the CPU, against float64.

import { beforeAll, describe, expect, test } from "vitest";
import { createReferenceFfn, type ReferenceFfn } from "../../runtime/reference/ffn.ts";
import { LAYER } from "../cases/compile-case.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import { rowOf, selected } from "../cases/selected.ts";
import { buildProgram, whyNoCompiler } from "./build.ts";
import { ffnProblems, isSameEverywhere, locate } from "./judge-written.ts";
import { CUDA, compileFfnForCuda, differences, runOnCpu, type Written } from "./run.ts";

/** Orders of blocks and threads. */
const SEEDS = [1, 2];

const missing = await whyNoCompiler();

const runs = FFN_CASES.map((each) => ({ name: each.name, ffnCase: each, compiled: compileFfnForCuda(each, CUDA) }));

describe.skipIf(missing)(`CUDA feed-forwards on the CPU${missing ? `, skipped: ${missing}` : ""}`, () => {
  beforeAll(async () => {
    await Promise.all(runs.map(({ compiled }) => buildProgram(compiled.kernels, "poison")));
  }, 300_000);

  describe.each(runs)("$name", ({ ffnCase, compiled }) => {
    const { layer, data } = compiled;
    let reference: ReferenceFfn;
    let written: Written[][];

    beforeAll(async () => {
      reference = await createReferenceFfn(LAYER, layer, compiled.weights);
      written = await runOnCpu(await buildProgram(compiled.kernels, "poison"), compiled, SEEDS);
    });

    test("returns what the layer means", () => {
      expect(ffnProblems(ffnCase, compiled, written[0]!)).toEqual([]);
    });

    test("the order of blocks and threads changes nothing that is returned or kept", () => {
      for (const launches of written.slice(1)) {
        launches.forEach((launch, i) => {
          expect(differences(launch, written[0]![i]!)).toEqual([]);
        });
      }
    });

    if (!isSameEverywhere(ffnCase)) return;

    test("the groups that survive and the candidates are the reference's", () => {
      for (let token = 0; token < ffnCase.tokens; token++) {
        const { launch, place } = locate(compiled, written[0]!, token);
        const { survivors, candidates } = reference.select(rowOf(data.x, layer.inputs, token));
        expect(selected(layer, launch.get("survivors")!, place)).toEqual({ survivors, candidates });
      }
    });
  });
});
