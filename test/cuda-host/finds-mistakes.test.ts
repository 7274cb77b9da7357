// That the runs on the CPU mean something: sources that were broken on purpose fail.

import { describe, expect, test } from "vitest";
import { exact, quantized } from "../../dsl/index.ts";
import { each, integers } from "../cases/fills.ts";
import type { SoftmaxCase } from "../cases/softmax-case.ts";
import { buildProgram, type Watch, whyNoCompiler } from "./build.ts";
import { CUDA, compileForCuda, differences, runOnCpu } from "./run.ts";

const SEEDS = [1, 2, 3, 4, 5, 6];

const missing = await whyNoCompiler();

const base: Omit<SoftmaxCase, "layer"> = {
  name: "broken",
  tokens: 3,
  weights: integers(9),
  // Of each token one input is the largest, so that it matters whether all threads looked.
  inputs: each((token, column) => (column % 2 ? column : -column) + token),
  comparison: "exact",
};
const layer = { inputs: 40, rows: 300, dtype: "bf16", k: 5, candidates: 40, select: exact(), batch: 3 } as const;
const intact = compileForCuda({ ...base, layer: { ...layer, estimator: quantized({ bits: 4 }) } }, CUDA);
/** Its tokens are quantized by a kernel of its own. */
const wide = compileForCuda(
  { ...base, layer: { ...layer, inputs: 26_000, rows: 70, batch: 1, estimator: quantized({ bits: 4, group: 128 }) } },
  CUDA,
);

/** Its scores are made by tensor cores, and each of its rows by one warp. */
const onTensorCores = compileForCuda(
  { ...base, tokens: 5, layer: { ...layer, batch: 5, estimator: quantized({ bits: 4, group: "row" }) } },
  CUDA,
);

/** What is wrong with changed sources: what the program says, or the buffers in which its result differs. */
async function mistakes(from: string, to: string, place = 0, watch: Watch = "poison", compiled = intact) {
  const right = await runOnCpu(await buildProgram(compiled.kernels, watch), compiled, [1]);
  let seen = 0;
  let changed = 0;
  const kernels = compiled.kernels.map(({ name, source }) => ({
    name,
    source: source.replaceAll(from, (found) => {
      if (seen++ !== place) return found;
      changed++;
      return to;
    }),
  }));
  expect(changed).toBe(1);
  const path = await buildProgram(kernels, watch);
  try {
    const wrong = await runOnCpu(path, compiled, SEEDS);
    return wrong.flatMap((launches) => launches.flatMap((launch, i) => differences(launch, right[0]![i]!))).join();
  } catch (thrown) {
    return (thrown as Error).message;
  }
}

describe.skipIf(missing)(
  `mistakes in CUDA sources${missing ? `, skipped: ${missing}` : ""}`,
  { timeout: 120_000 },
  () => {
    const count = (compiled: typeof intact) =>
      compiled.kernels.map(({ source }) => source.split("__syncthreads();").length - 1);

    test("the sources that were emitted have none", async () => {
      for (const watch of ["poison", "sanitize"] as const) {
        const path = await buildProgram(intact.kernels, watch);
        const [first, ...others] = await runOnCpu(path, intact, SEEDS);
        for (const launches of others) expect(launches.flatMap((each, i) => differences(each, first![i]!))).toEqual([]);
      }
    });

    const [inScore, inRescore] = count(intact);
    // Bits that are taken for different cost a pass and change nothing, and garbage has the highest of them.
    const sources = intact.kernels.map(({ source }) => source).join("");
    const [before] = sources.split("__syncthreads();\n  uint2 all_differing");
    const unseen = before!.split("__syncthreads();").length - 1;
    const barriers = Array.from({ length: inScore! + inRescore! }, (_, i) => i).filter((i) => i !== unseen);
    test.each(barriers)("barrier %i is missing", async (i) => {
      expect(await mistakes("__syncthreads();", ";", i)).not.toBe("");
    });

    test.each([0, 1])("barrier %i of a kernel that only quantizes is missing", async (i) => {
      expect(wide.kernels[0]!.name).toContain("quantize");
      expect(count(wide)[0]).toBe(2);
      expect(await mistakes("__syncthreads();", ";", i, "poison", wide)).not.toBe("");
    });

    test("a warp reads scores that other lanes of it have not written yet", async () => {
      expect(await mistakes("__syncwarp();", ";", 0, "poison", onTensorCores)).not.toBe("");
    });

    test.each([
      [
        "rows that change places",
        "const unsigned int first = packed[0][row_block * 2u]",
        "const unsigned int first = packed[0][1u]",
      ],
      ["columns of rows and tokens that differ", "= *words;", "= make_uint2(words->y, words->x);"],
      ["a token's codes of another span", "+ token) * 2u + chunk % 2u", "+ token) * 2u + 1u - chunk % 2u"],
      ["sums of other tokens", "quad_lane * 2u + i % 2u", "quad_lane * 2u + 1u - i % 2u"],
    ])("tensor cores: %s", async (_, from, to) => {
      expect(await mistakes(from, to, 0, "poison", onTensorCores)).not.toBe("");
    });

    test("lanes of a warp of which some do not multiply", async () => {
      const some = "if (threadIdx.x != 3u) mma_int8(sums[row_block]";
      expect(await mistakes("mma_int8(sums[row_block]", some, 0, "poison", onTensorCores)).toMatch(
        /waits? for its warp|lanes of a warp/,
      );
    });

    test("operands of tensor cores in another order than the CPU's", async () => {
      const build = mistakes('"r"(rows[1]), "r"(rows[2])', '"r"(rows[2]), "r"(rows[1])', 0, "poison", onTensorCores);
      await expect(build).rejects.toThrow(/one statement of this kind/);
    });

    test("shared memory is read that nobody has written", async () => {
      expect(await mistakes("collected = 0u;", ";")).not.toBe("");
      expect(await mistakes("largest[token] = 0u;", ";")).not.toBe("");
    });

    test("a store beyond the last result", async () => {
      expect(await mistakes("values[token * K + rank] =", "values[token * K + rank + 1u] =")).toMatch(
        /head_rescore_topk: stores beyond buffer/,
      );
    });

    test.each([
      ["a load beyond the last survivor", "ordered_pair(own_survivors[i])", "ordered_pair(own_survivors[i + 64u])"],
      ["a store beyond shared memory", "histogram[thread] = 0u", "histogram[thread + 1u] = 0u"],
    ])("%s, seen by the sanitizer", async (_, from, to) => {
      expect(await mistakes(from, to, 0, "sanitize")).toMatch(/AddressSanitizer|runtime error/);
    });

    test("a thread that ends while others wait for it", async () => {
      expect(await mistakes("collected = 0u;", "return;")).toMatch(/thread 1 waits for its warp at line \d+ forever/);
    });

    test("threads that wait at different places", async () => {
      const split = "if (thread < 32u) { __syncthreads(); } else {\n__syncthreads(); }";
      expect(await mistakes("__syncthreads();", split)).toMatch(/head_score_select: threads wait at lines \d+ and \d+/);
    });

    test("lanes of a warp of which some do not shuffle", async () => {
      const some = "if (lane < 31u) warp_sum(0.0f);\n  __syncthreads();";
      expect(await mistakes("__syncthreads();", some, inScore! + inRescore! - 1)).toMatch(
        /waits? for its warp|lanes of a warp/,
      );
    });
  },
);
