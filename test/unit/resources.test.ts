// What a CUDA block takes of a multiprocessor; test/nvcc holds the same against ptxas and NVIDIA's own calculation.

import { compileModel } from "hirec/compiler";
import { describe, expect, it } from "vitest";
import { PROFILES } from "../../compiler/profiles.ts";
import { type Block, planResources } from "../../compiler/schedule/resources.ts";
import { defineModel, ffn, lowRank, multinomial, quantized, softmax } from "../../dsl/index.ts";

const profileOf = (architecture: string) => PROFILES.cuda.find((each) => each.architecture === architecture)!;
const on = (architecture: string, block: Block) => planResources(block, profileOf(architecture));

describe("the resources of a block", () => {
  it.each([
    // 65536 / (64 · 8) registers; 8 · 2 of 64 warps.
    [64, 8, 128, 8, "registers", 0.25],
    // No instruction can name more, and 255 are taken as 256.
    [256, 1, 255, 1, "registers", 0.125],
    // 14 warps, of which one partition holds 4: 16384 / 4 / 32, not 65536 / (64 · 7) = 146.
    [64, 7, 128, 8, "registers", 0.25],
    // 65536 / (256 · 3) = 85, of which 80 are whole units of 8.
    [256, 3, 80, 3, "registers", 0.375],
    [1024, 2, 32, 2, "threads", 1],
    [32, 32, 64, 32, "blocks", 0.5],
    // A warp of which one lane is used is a warp.
    [1, 1, 255, 8, "registers", 0.125],
  ] as const)("of %i threads, %i times: %i registers, %i resident by %s", (...numbers) => {
    const [threads, promisedBlocks, registers, residentBlocks, limitedBy, occupancy] = numbers;
    const planned = on("sm_90", { threads, promisedBlocks, sharedBytes: 0 });
    expect(planned).toEqual({ registers, residentBlocks, limitedBy, occupancy });
  });

  it("are fewer where shared memory is, of which a KiB a block is the system's", () => {
    const block = { threads: 64, promisedBlocks: 8, sharedBytes: 41_000 };
    // 42024 bytes, in units of 128, are 42112: 164 KiB hold 3 of them, and 4 of those without the KiB; 228 KiB hold 5.
    expect(on("sm_80", block)).toEqual({
      ...{ registers: 128, residentBlocks: 3, limitedBy: "shared memory", occupancy: 0.09375 },
    });
    expect(on("sm_90", block).residentBlocks).toBe(5);
    expect(on("sm_100", block).residentBlocks).toBe(5);
  });
});

describe("a plan", () => {
  const head = { inputs: 64, rows: 4096, weight: "w", k: 4 } as const;
  const model = defineModel("all", {
    codes: softmax({ ...head, estimator: quantized({ bits: 4 }), certify: "fallback", sample: multinomial() }),
    rank: softmax({ ...head, estimator: lowRank({ rank: 32, bits: 8 }) }),
    mlp: ffn({
      ...{ inputs: 64, hidden: 512, weights: { up: "u", down: "d" }, gated: false, k: 4, activation: (z) => z },
      estimator: quantized({ bits: 8 }),
    }),
  });
  const { plan } = compileModel(model, { targets: ["wgsl", "cuda"] });

  it("says of every CUDA kernel what its launch bounds leave it, and nothing of others", () => {
    for (const { target, profile, layers } of plan.programs) {
      for (const { kernels } of Object.values(layers)) {
        for (const { workgroupSize: threads, workgroupBytes: sharedBytes, constants, resources } of kernels) {
          if (target === "wgsl") expect(resources).toBeUndefined();
          if (target === "wgsl") continue;
          const promisedBlocks = constants.BLOCKS_PER_MULTIPROCESSOR!;
          const { name } = profileOf(profile.replace("cuda-sm", "sm_"));
          expect(name).toBe(profile);
          const block = { threads, sharedBytes, promisedBlocks };
          expect(resources).toEqual(on(profile.replace("cuda-sm", "sm_"), block));
          // Unless shared memory is in the way, the promise is kept.
          if (resources!.limitedBy !== "shared memory")
            expect(resources!.residentBlocks).toBeGreaterThanOrEqual(promisedBlocks);
        }
      }
    }
  });
});
