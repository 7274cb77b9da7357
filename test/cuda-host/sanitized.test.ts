// A part of the table under the address and undefined-behaviour sanitizers, which see loads beyond a buffer too. The
// sanitized programs take some seconds each to build, so one case stands for each way in which kernels differ.

import { beforeAll, describe, expect, test } from "vitest";
import type { CudaProfile } from "../../compiler/profiles.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";
import { buildProgram, whyNoCompiler } from "./build.ts";
import { CUDA, compileForCuda, differences, runOnCpu, SMALL_CUDA } from "./run.ts";

const CASES: readonly (readonly [name: string, profile: CudaProfile])[] = [
  ["int4 codes, group 32, int8 activations: random", CUDA],
  ["int8 codes, group 64, int8 activations: random", CUDA],
  ["int8 codes, group 128, int8 activations: random", CUDA],
  ["batch 5 of 257 inputs, int4 group 32, mask, bias", CUDA],
  ["batch 9 of 70 inputs, int4 group 32, select", CUDA],
  ["batch 9 of 250 inputs, int8 group row", CUDA],
  ["int4 codes, group 64, f32 activations: random", CUDA],
  ["int8 codes, group row, f32 activations: random", CUDA],
  ["dense f16, 100 inputs, batch 8: random", CUDA],
  ["dense bf16, 257 inputs, batch 16: random", SMALL_CUDA],
  ["quantized 65 × 33 f16, k 1, batch 16", CUDA],
  ["more kept rows than fit beside the codes of the tokens", SMALL_CUDA],
  ["tokens so wide that a kernel of its own quantizes them, 4 bits", SMALL_CUDA],
  ["more candidates than fit into workgroup memory", SMALL_CUDA],
  ["int8 activations: infinities in some weight rows", CUDA],
  ["int8 in two stages: everything", CUDA],
  ["every option on more candidates than fit into workgroup memory", SMALL_CUDA],
];

const missing = await whyNoCompiler();

describe.skipIf(missing)(`CUDA sources under sanitizers${missing ? `, skipped: ${missing}` : ""}`, () => {
  const runs = CASES.map(([name, profile]) => {
    const softmaxCase = SOFTMAX_CASES.find((each) => each.name === name);
    if (!softmaxCase) throw new Error(`there is no case "${name}"`);
    return { name, profile: profile.name, compiled: compileForCuda(softmaxCase, profile) };
  });

  beforeAll(async () => {
    await Promise.all(runs.map(({ compiled }) => buildProgram(compiled.kernels, "sanitize")));
  }, 300_000);

  test.each(runs)(
    "$name, $profile: nothing to report, and the same result",
    async ({ compiled }) => {
      const [watched] = await runOnCpu(await buildProgram(compiled.kernels, "sanitize"), compiled, [3]);
      const [plain] = await runOnCpu(await buildProgram(compiled.kernels, "poison"), compiled, [1]);
      expect(watched!.flatMap((launch, i) => differences(launch, plain![i]!))).toEqual([]);
    },
    60_000,
  );
});
