import { type CompileOptions, compileModel } from "hirec/compiler";
import { describe, expect, it } from "vitest";
import { check } from "../../compiler/check.ts";
import { explainModel } from "../../compiler/cli/explain/model.ts";
import { formatModel } from "../../compiler/cli/explain/model-text.ts";
import { emit } from "../../compiler/emit.ts";
import { formatBytes } from "../../compiler/format-bytes.ts";
import { PROFILES } from "../../compiler/profiles.ts";
import {
  defineModel,
  dense,
  exact,
  ffn,
  multinomial,
  quantized,
  type SoftmaxOptions,
  softmax,
  statistical,
  twoStage,
} from "../../dsl/index.ts";

const TINY: SoftmaxOptions = {
  inputs: 256,
  rows: 8192,
  weight: "w",
  estimator: quantized({ bits: 4 }),
  k: 32,
  candidates: 128,
  batch: 8,
};

function explain(changes: Partial<SoftmaxOptions> = {}, name = "head", options: CompileOptions = {}) {
  const { plan } = compileModel(defineModel("tiny", { [name]: softmax({ ...TINY, ...changes }) }), options);
  const explanation = explainModel(plan);
  return { layer: explanation.layers[0]!, text: formatModel(explanation) };
}

describe("an explanation of a layer", () => {
  it("counts the bytes that a launch reads, at batch 1 and at the layer's batch", () => {
    const { layer, text } = explain();
    // 8192 rows of 256 4-bit codes, 8 scales of a byte and an f32; 128 candidates of 256 bf16.
    const score = 8192 * (128 + 8 + 4);
    const rescore = 128 * 512;
    // Eight tokens that choose independently share some candidates.
    const union = 8192 * (1 - (1 - 128 / 8192) ** 8) * 512;
    expect(layer.reads).toEqual([
      { batch: 1, score, rescore, total: score + rescore, dense: 2 ** 22, ratio: 2 ** 22 / (score + rescore) },
      { batch: 8, score, rescore: union, total: score + union, dense: 2 ** 22, ratio: expect.any(Number) },
    ]);
    expect(text).toMatch(/at batch 1 +1.15 MB +65.5 KB +1.21 MB +4.19 MB +3.46×/);
    expect(text).toMatch(/at batch 8 +1.15 MB +496 KB +1.64 MB +4.19 MB +2.55×/);
  });

  it("counts a row once however many tokens ask for it", () => {
    const { layer } = explain({ candidates: 8192, crossover: "ignore" });
    expect(layer.reads[1]).toMatchObject({ batch: 8, rescore: 8192 * 512 });
  });

  it("says so when nothing is saved", () => {
    expect(explain({ candidates: 4096, crossover: "ignore" }).text).toContain("At batch 8 nothing is saved");
    expect(explain().text).not.toContain("nothing is saved");
    expect(explain({ estimator: dense(), candidates: undefined as never }).text).not.toContain("nothing is saved");
  });

  it("says from which batch on the dense path reads less, and when it is taken", () => {
    expect(explain().text).not.toContain("crossover");
    const before = explain({ candidates: 2048, batch: 2 });
    expect(before.layer.crossover).toEqual({ batch: 5, taken: false });
    expect(before.text).toContain("crossover  from batch 5 on exact scores of all rows read fewer bytes\n");
    const past = explain({ candidates: 2048, batch: 5 });
    expect(past.layer.crossover).toEqual({ batch: 5, taken: true });
    expect(past.layer.estimator).toEqual({ kind: "dense" });
    expect(past.text).toContain("crossover  past batch 5: all rows are scored exactly, which reads fewer bytes\n");
    expect(explain({ candidates: 2048, batch: 5, crossover: "ignore" }).layer.estimator.kind).toBe("quantized");
  });

  it("states the predicted recall of candidates and of k, and never rounds it up to certainty", () => {
    const { text } = explain();
    expect(text).toContain("recall     99.63 % of the 128 best estimates survive, predicted\n");
    expect(text).toContain("99.99 % of the 32 best (arXiv 2506.04165, Theorem 1)");
    expect(explain({ select: exact() }).text).toContain("recall     1: none of the 128 best estimates is lost");
  });

  it("says what a head and a feed-forward do besides", () => {
    const { text } = explain({
      bias: "b",
      mask: true,
      transform: (s) => Math.min(s, 30),
      temperature: 0.7,
      logSumExp: true,
      sample: multinomial({ topP: 0.9 }),
    });
    expect(text).toContain(
      [
        "  with       a bias of rows",
        "             a mask of rows",
        "             a transform of scores",
        "             temperature 0.7",
        "             the log-sum-exp of the candidates",
        "             a sample of the best 32, top-p 0.9",
      ].join("\n"),
    );
    const neurons = { inputs: 64, hidden: 256, weights: { up: "u", down: "d" }, gated: false, k: 4 } as const;
    const mlp = ffn({
      ...{ ...neurons, activation: (z) => z, estimator: quantized({ bits: 4 }) },
      ...{ bias: { up: "b", down: "c" }, select: statistical() },
    });
    const shown = formatModel(explainModel(compileModel(defineModel("tiny", { mlp })).plan));
    expect(shown).toContain("  with       a bias of up, down\n");
    expect(shown).toMatch(
      / {2}recall {5}.* of the 8 best estimates survive, predicted\n.*if scores are normally distributed/,
    );
  });

  it("says what a certificate costs and how far the winners must stand out for one", () => {
    const { layer, text } = explain({ certify: "fallback" });
    expect(layer.certificate).toMatchObject({ kind: "fallback", bytesPerRow: 8 });
    // What the table of docs/certificates.md says of wider rows, 0.100, within a tenth.
    expect(layer.certificate!.relativeBound).toBeGreaterThan(0.09);
    expect(layer.certificate!.relativeBound).toBeLessThan(0.11);
    expect(text).toContain("certifies  tokens without proof are recomputed exactly; bounds take 8.0 bytes a row\n");
    const ofDense = explain({
      estimator: dense(),
      candidates: undefined as never,
      select: twoStage({ recall: 0.9 }),
      certify: "report",
    });
    expect(ofDense.text).toContain("certifies  that the buckets lose none of the 32 best: a flag per token\n");
    expect(explain().text).not.toContain("certifies");
  });

  it("lists each profile's kernels in launch order with stages, grid and memory", () => {
    const { layer, text } = explain();
    expect(layer.programs.map(({ profile, kernels }) => [profile, kernels.map(({ name }) => name)])).toEqual([
      ["webgpu-subgroups", ["head_score_select", "head_rescore_topk"]],
      ["webgpu-default", ["head_score_select", "head_rescore_topk"]],
    ]);
    expect(layer.programs[0]).toMatchObject({ scratchBytes: 8 * 128 * 4 * 8, inputBytes: 8192, outputBytes: 2048 });
    expect(text).toContain(`  webgpu-default
  2 launches, 32.8 KB of scratch, 10.2 KB in and out
  head_score_select
    quantize -> score -> select rows
    128 workgroups × 64, 2.59 KB of workgroup memory
`);
  });

  it("counts a launch per slice where a matrix exceeds one binding", () => {
    const { layer, text } = explain({ rows: 131072, inputs: 2048, batch: 1 }, "head", { profiles: ["webgpu-default"] });
    const [{ kernels } = { kernels: [] }] = layer.programs;
    const launches = kernels.reduce((sum, kernel) => sum + kernel.launches.length, 0);
    expect(launches).toBeGreaterThan(kernels.length);
    expect(text).toContain(`webgpu-default\n  ${launches} launches`);
    expect(text).toContain("\n    4 slices, each 1 workgroup × 256, 1.02 KB of workgroup memory\n");
    expect(text).toMatch(/\n {2}head_topk\n {4}topk\n {4}1 workgroup × 256$/);
  });

  it("says what a dense layer does without an estimator", () => {
    const { layer, text } = explain({ estimator: dense(), candidates: undefined as never, batch: 1 });
    expect(layer.reads).toEqual([{ batch: 1, score: 2 ** 22, rescore: 0, total: 2 ** 22, dense: 2 ** 22, ratio: 1 }]);
    expect(text).toContain("estimator  none: every row is scored with the exact weights");
    expect(text).toContain("batch      1 token per launch\n");
  });

  it("shows profiles with equal kernels together, in the words of their target", () => {
    const { text } = explain({}, "head", { targets: ["cuda"] });
    expect(text).toContain("\n  cuda-sm100, cuda-sm90, cuda-sm80\n  2 launches, 41.0 KB of scratch");
    expect(text).toMatch(
      /\n {4}128 blocks × 128, .* of shared memory\n {4}at most 128 registers, 4 resident by registers: occupancy 25 %\n/,
    );
    expect(text).not.toContain("workgroup");
  });

  it("shows a profile apart whose multiprocessors hold other numbers of blocks", () => {
    // A block has 22 KiB of tokens: 164 KiB of shared memory hold 6 of them, 228 KiB as many as the registers do.
    const estimator = quantized({ bits: 4, activations: "f32" });
    const { text } = explain({ inputs: 2816, rows: 2 ** 18, batch: 2, estimator }, "head", { targets: ["cuda"] });
    expect(text).toContain("\n  cuda-sm100, cuda-sm90\n");
    expect(text).toContain("\n  cuda-sm80\n");
    expect(text).toMatch(/at most 128 registers, \d resident by shared memory: occupancy [\d.]+ %\n/);
  });

  it("says which knobs are tuned, and shows their profile apart", () => {
    const head = softmax({ ...TINY, batch: 1 });
    const model = check({ model: defineModel("tiny", { head }), sites: [] });
    const tunings = { "cuda-sm90": { head: { splits: 4, residentThreads: 1024 } } };
    const explanation = explainModel(emit(model, PROFILES.cuda, [], tunings).plan);
    expect(explanation.layers[0]!.programs.map(({ tuning }) => tuning)).toEqual([
      undefined,
      { splits: 4, residentThreads: 1024 },
      undefined,
    ]);
    expect(formatModel(explanation)).toMatch(
      /\n {2}cuda-sm90\n {2}2 launches, .*\n {2}tuned: splits 4, residentThreads 1024\n {2}head_score_select\n/,
    );
    expect(formatModel(explanation).match(/tuned/g)).toHaveLength(1);
  });

  it("explains plans that were written before resources were computed", () => {
    const { plan } = compileModel(defineModel("tiny", { head: softmax(TINY) }), { targets: ["cuda"] });
    const older = JSON.parse(JSON.stringify(plan, (key, value) => (key === "resources" ? undefined : value)));
    expect(formatModel(explainModel(older))).not.toContain("registers");
    expect(formatModel(explainModel(plan))).toContain("registers");
  });

  it("fits into 80 columns, also with the longest names and large numbers", () => {
    for (const text of [
      explain().text,
      explain({ rows: 131072, inputs: 500, candidates: 10000, k: 10000, batch: 16 }, "h".repeat(64), {
        targets: ["wgsl", "cuda"],
      }).text,
    ]) {
      expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
    }
  });
});

describe("a byte count for people", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.00 KB"],
    [999_499, "999 KB"],
    [999_500, "1.00 MB"],
    [4_194_304, "4.19 MB"],
    [2 ** 42, "4.40 TB"],
  ])("%i is %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});
