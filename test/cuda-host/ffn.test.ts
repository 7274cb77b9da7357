// Every feed-forward of the table on the emitted CUDA sources, compiled for the CPU, against float64.

import { beforeAll, describe, expect, test } from "vitest";
import { createReferenceFfn, type ReferenceFfn } from "../../runtime/reference/ffn.ts";
import { LAYER } from "../cases/compile-case.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import { ffnOracle, judgeFfn } from "../cases/ffn-oracle.ts";
import { rowOf, selected } from "../cases/selected.ts";
import { buildProgram, whyNoCompiler } from "./build.ts";
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
    const { estimator } = ffnCase.layer;
    let reference: ReferenceFfn;
    let written: Written[][];

    beforeAll(async () => {
      reference = await createReferenceFfn(LAYER, layer, compiled.weights);
      written = await runOnCpu(await buildProgram(compiled.kernels, "poison"), compiled, SEEDS);
    });

    /** The launch that a token was in, and its place there. */
    const locate = (token: number) => ({
      launch: written[0]![Math.floor(token / layer.batch)]!,
      place: token % layer.batch,
    });

    test("returns what the layer means", () => {
      const expectedOf = ffnOracle(ffnCase, layer, data);
      for (let token = 0; token < ffnCase.tokens; token++) {
        const { launch, place } = locate(token);
        const result = {
          output: rowOf(new Float32Array(launch.get("output")!.buffer), layer.outputs, place),
          groups: rowOf(launch.get("groups")!, layer.k, place),
        };
        const expected = expectedOf(rowOf(data.x, layer.inputs, token));
        expect(judgeFfn(ffnCase.comparison, layer, expected, result)).toEqual([]);
      }
    });

    test("the order of blocks and threads changes nothing that is returned or kept", () => {
      for (const launches of written.slice(1)) {
        launches.forEach((launch, i) => {
          expect(differences(launch, written[0]![i]!)).toEqual([]);
        });
      }
    });

    // Elsewhere rounding decides between groups that nearly tie.
    const isSame =
      estimator.kind === "dense" ? ffnCase.comparison === "exact" : estimator.options.activations !== "f32";
    if (!isSame) return;

    test("the groups that survive and the candidates are the reference's", () => {
      for (let token = 0; token < ffnCase.tokens; token++) {
        const { launch, place } = locate(token);
        const { survivors, candidates } = reference.select(rowOf(data.x, layer.inputs, token));
        expect(selected(layer, launch.get("survivors")!, place)).toEqual({ survivors, candidates });
      }
    });
  });
});
