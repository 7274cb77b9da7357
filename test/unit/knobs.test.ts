// Knobs of schedules: which there are, what turning them does to a plan, and which values a layer may have.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { check } from "../../compiler/check.ts";
import { emit, type Tunings } from "../../compiler/emit.ts";
import { planLayerProgram, planLayers } from "../../compiler/plan-layers.ts";
import { ALL_PROFILES, PROFILES, type Profile } from "../../compiler/profiles.ts";
import { isSame, stepsOf } from "../../compiler/tune/steps.ts";
import { KNOB_NAMES, KNOBS, knobsOf, legalValues, turned } from "../../compiler/tuning/knobs.ts";
import { defineModel, ffn, lowRank, quantized, softmax, statistical } from "../../dsl/index.ts";

const head = { inputs: 2304, rows: 256_000, weight: "w", k: 8 } as const;
const neurons = { inputs: 512, hidden: 2048, weights: { gate: "g", up: "u", down: "d" }, k: 0.05 } as const;
const model = check({
  model: defineModel("tuned", {
    head: softmax({ ...head, estimator: quantized({ bits: 4 }) }),
    wide: softmax({ ...head, inputs: 1536, batch: 16, estimator: quantized({ bits: 5 }), crossover: "ignore" }),
    rank: softmax({ ...head, inputs: 256, estimator: lowRank({ rank: 32, bits: 8 }) }),
    threshold: softmax({ ...head, rows: 8192, estimator: quantized({ bits: 4 }), select: statistical() }),
    mlp: ffn({ ...neurons, estimator: quantized({ bits: 4 }), activation: (z) => z }),
  }),
  sites: [],
});
const layers = planLayers(model);
const layerOf = (name: string) => layers.find(({ layer }) => layer.name === name)!;
const profileOf = (name: string) => ALL_PROFILES.find((each) => each.name === name)!;
const sm90 = profileOf("cuda-sm90");

const legalOf = (name: string, profile: Profile) =>
  Object.fromEntries(
    KNOB_NAMES.map((knob) => [knob, legalValues(layerOf(name), profile, knob)] as const).filter(
      ([, values]) => values.length > 0,
    ),
  );

describe("the values that knobs may have", () => {
  it("are those that the schedule does, and none where a kernel has no use for the knob", () => {
    // A block has 8 of the 32 candidates in work at a time.
    const head = { splits: [1, 2, 4, 8], residentThreads: [256, 512, 1024, 2048], rescoreParts: [1, 2, 4] };
    expect(legalOf("head", sm90)).toEqual(head);
    // 8 splits of 16 tokens take 32 KiB, which are not left beside codes of 24 KiB.
    expect(legalOf("wide", sm90)).toEqual({ ...head, splits: [1, 2, 4] });
    // A row of 32 factors is two steps of 16 bytes.
    expect(legalOf("rank", sm90)).toMatchObject({ projectLanes: [64, 128, 256], splits: [1, 2] });
    expect(legalOf("threshold", sm90)).toEqual({ residentThreads: head.residentThreads, rescoreParts: [1, 2, 4] });
    expect(legalOf("head", profileOf("webgpu-default"))).toEqual({ rescoreLanesPerRow: [4, 8, 16, 32] });
    expect(legalOf("head", profileOf("webgpu-subgroups"))).toEqual({});
    expect(legalOf("mlp", profileOf("webgpu-subgroups"))).toEqual({ gatherLanes: [64, 128, 256] });
  });

  it("hold the default of every knob, on every profile", () => {
    for (const layer of layers) {
      for (const profile of ALL_PROFILES) {
        const usual = knobsOf(planLayerProgram(layer, profile), profile);
        for (const name of KNOB_NAMES) {
          const values = legalValues(layer, profile, name);
          if (usual[name] === undefined) expect(values).toEqual([]);
          else expect(values).toContain(usual[name]);
        }
      }
    }
  });

  it("may exclude each other", () => {
    expect(turned(layerOf("head"), sm90, { splits: 8 })).toBeDefined();
    expect(turned(layerOf("head"), sm90, { residentThreads: 256 })).toBeDefined();
    // 8 · 64 threads are more than 256.
    expect(turned(layerOf("head"), sm90, { splits: 8, residentThreads: 256 })).toBeUndefined();
    expect(turned(layerOf("head"), sm90, { splits: 8, residentThreads: 512 })).toBeDefined();
  });

  it("are refused where the profile has too little for them", () => {
    const small = { ...sm90, limits: { ...sm90.limits, maxThreadsPerBlock: 256 } } as Profile;
    expect(legalValues(layerOf("head"), small, "splits")).toEqual([1, 2, 4]);
  });

  it("stand in the documentation as they are", async () => {
    const usage = await readFile(fileURLToPath(new URL("../../docs/usage.md", import.meta.url)), "utf8");
    const places = { "wgsl,cuda": "both targets", cuda: "CUDA", wgsl: "WGSL" } as Readonly<Record<string, string>>;
    const rows = KNOB_NAMES.map((name) => {
      const { targets, template, what, values, byDefault } = KNOBS[name];
      return `| \`${name}\` | \`${template}\`, ${places[String(targets)]} | ${what} | ${values.join(", ")} | ${byDefault} |`;
    });
    expect(usage).toContain(`| --- | --- | --- | --- | --- |\n${rows.join("\n")}\n\n`);
  });
});

describe("a plan with knobs turned", () => {
  const tunings: Tunings = { "cuda-sm90": { head: { splits: 4, residentThreads: 1024 } } };
  const usual = emit(model, PROFILES.cuda);
  const { plan, files } = emit(model, PROFILES.cuda, ["torch"], tunings);
  const programOf = (architecture: string) => plan.programs.find(({ profile }) => profile === architecture)!;

  it("says which, and has them in the kernel and nowhere else", () => {
    const { head: tuned, ...others } = programOf("cuda-sm90").layers;
    expect(tuned!.tuning).toEqual({ splits: 4, residentThreads: 1024 });
    expect(tuned!.kernels[0]).toMatchObject({
      workgroupSize: 256,
      constants: { SPLITS: 4, BLOCKS_PER_MULTIPROCESSOR: 4 },
      resources: { registers: 64, residentBlocks: 4, occupancy: 0.5 },
    });
    const { head: _, ...untuned } = usual.plan.programs.find(({ profile }) => profile === "cuda-sm90")!.layers;
    expect(others).toEqual(untuned);
    expect(programOf("cuda-sm80")).toEqual(usual.plan.programs.find(({ profile }) => profile === "cuda-sm80"));
  });

  it("has a folder of its own for the sources of the layer, also in the package for PyTorch", () => {
    const source = files.get("cuda-sm90/head.score_select.cu");
    expect(source).toContain("constexpr unsigned int SPLITS = 4u;");
    expect(source).toContain("__launch_bounds__(256, 4) head_score_select(");
    expect(files.get("cuda/head.score_select.cu")).toBe(usual.files.get("cuda/head.score_select.cu"));
    expect([...files.keys()].filter((file) => file.startsWith("cuda-sm90/mlp"))).toEqual([]);
    expect(files.get("torch/hirec_tuned/cuda-sm90/head.score_select.cu")).toBe(source);
    const programs = files.get("torch/hirec_tuned/plan.py")!.split("HEAD_PLAN")[1]!.split("_PLAN = ")[0]!;
    expect(programs.match(/architecture=\d+|source="[\w/-]+\.score_select\.cu"/g)).toEqual([
      ...["architecture=100", 'source="cuda/head.score_select.cu"'],
      ...["architecture=90", 'source="cuda-sm90/head.score_select.cu"'],
      ...["architecture=80", 'source="cuda/head.score_select.cu"'],
    ]);
  });

  it("takes the same pack", () => {
    expect(plan.packHash).toBe(usual.plan.packHash);
    expect(plan.layers).toEqual(usual.plan.layers);
  });
});

describe("the schedules that are tried", () => {
  it("are all legal combinations of a kernel's knobs but the best so far, each without what is the default", () => {
    const [step, ofRescoring, ...others] = stepsOf(layerOf("head"), sm90);
    expect(others).toEqual([]);
    expect(ofRescoring!({})).toEqual([{ rescoreParts: 1 }, { rescoreParts: 2 }]);
    const first = step!({});
    // 4 · 4, less splits 8 with 256, less the default: splits 1, 512.
    expect(first).toHaveLength(14);
    expect(first).toContainEqual({ splits: 2 });
    expect(first).toContainEqual({ splits: 4, residentThreads: 1024 });
    expect(first).not.toContainEqual({});
    expect(step!({ splits: 2 })).toContainEqual({});
  });

  it("keep the knobs of other kernels where they were best", () => {
    const [project, rescore] = stepsOf(layerOf("rank"), profileOf("webgpu-default"));
    expect(project!({})).toEqual([{ projectLanes: 128 }, { projectLanes: 256 }]);
    expect(rescore!({ projectLanes: 128 })).toEqual(
      [4, 16, 32].map((rescoreLanesPerRow) => ({ projectLanes: 128, rescoreLanesPerRow })),
    );
  });

  it("are none where there are no knobs", () => {
    expect(stepsOf(layerOf("head"), profileOf("webgpu-subgroups"))).toEqual([]);
  });

  it("are the same when they turn the same knobs", () => {
    expect(isSame({ splits: 2 }, { splits: 2 })).toBe(true);
    expect(isSame({ splits: 2 }, {})).toBe(false);
  });
});
