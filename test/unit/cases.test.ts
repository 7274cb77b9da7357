// What the table of cases covers. A variant of a kernel that no case reaches is a variant that nobody tests.

import { expect, test } from "vitest";
import { PROFILES } from "../../compiler/profiles.ts";
import { type CompiledCase, compileCase } from "../cases/compile-case.ts";
import { compileFfn } from "../cases/compile-ffn.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import { compileFor, SLICED_CASES, withBinding } from "../cases/sliced-cases.ts";
import { caseData, type SoftmaxCase } from "../cases/softmax-case.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";

/** Every layer of the table once. */
const compiled: readonly CompiledCase[] = [
  ...new Map(SOFTMAX_CASES.map((each) => [JSON.stringify(each.layer), each])).values(),
].map(compileCase);

const sliced = SLICED_CASES.flatMap(({ layer, binding }) =>
  PROFILES.wgsl.map((profile) => compileFor(layer, withBinding(profile, binding))),
);

const feedForwards = [
  ...FFN_CASES.map((each) => compileFfn(each, PROFILES.wgsl)),
  compileFfn(FFN_CASES[1]!, [withBinding(PROFILES.wgsl.at(-1)!, 8192)]),
];

const kernels = [...compiled, ...sliced, ...feedForwards].flatMap(({ plan }) =>
  plan.programs.flatMap(({ layers }) => layers.head!.kernels),
);

test("names of cases are unique, since a case's numbers follow from its name", () => {
  const names = SOFTMAX_CASES.map(({ name }) => name);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});

test("every choice of every template is made both ways", () => {
  const made = kernels.flatMap(({ template, choices }) =>
    Object.entries({ ...absentChoices(template), ...choices }).map(
      ([choice, value]) => `${template}.${choice}=${value}`,
    ),
  );
  const names = new Set(made.map((each) => each.split("=")[0]!));
  const oneSided = [...names]
    .flatMap((name) => [`${name}=true`, `${name}=false`])
    .filter((each) => !made.includes(each) && !SETTLED.includes(each));
  expect(oneSided).toEqual([]);
  expect(new Set(kernels.map(({ template }) => template))).toEqual(
    new Set([
      ...["project", "quantize", "score_select", "rescore_topk", "gather", "reduce"],
      ...["fallback_plan", "fallback_score", "sample"],
    ]),
  );
});

/** What a basis never is: its tokens are not staged, its codes have no groups, its halves are bf16. */
const SETTLED = ["staged", "grouped", "f16", "f32"].map((choice) => `project.${choice}=true`);

/** Choices that some kernel of a template makes, as a kernel that leaves them out means them. */
function absentChoices(template: string): Record<string, boolean> {
  const names = kernels.filter((kernel) => kernel.template === template).flatMap(({ choices }) => Object.keys(choices));
  return Object.fromEntries(names.map((name) => [name, false]));
}

test("choices that change the same lines are made in every combination that exists", () => {
  const combinations = (template: string, ...names: string[]) =>
    new Set(
      kernels
        .filter((kernel) => kernel.template === template)
        .map(({ choices }) => names.filter((name) => choices[name]).join(" ")),
    );
  // Dense scores have no codes, f32 scores no integer path; whole words are of groups.
  const planes = ["main4", "main4 low1", "main4 low2", "odd", "low1 odd"];
  for (const scores of ["int8", ""]) {
    for (const bits of ["bytes", ...planes]) {
      const wanted = [scores, bits].filter(Boolean).join(" ");
      const names = ["dense", "int8", "bytes", "main4", "low1", "low2", "odd"];
      expect(combinations("score_select", ...names)).toContain(wanted);
    }
    for (const bits of ["bytes", "main4"]) {
      for (const scales of ["grouped wholeWords", "grouped", ""]) {
        const wanted = [scores, bits, scales].filter(Boolean).join(" ");
        expect(combinations("score_select", "dense", "int8", "bytes", "main4", "grouped", "wholeWords")).toContain(
          wanted,
        );
      }
    }
  }
  expect(combinations("score_select", "dense", "staged")).toEqual(new Set(["dense staged", "dense", "staged", ""]));
  for (const dtype of ["f32", "f16", "bf16"]) {
    expect(combinations("score_select", "dense", dtype)).toContain(`dense ${dtype}`);
    for (const guarded of [`guarded ${dtype}`, dtype]) {
      for (const rest of ["", "subgroups "]) {
        expect(combinations("rescore_topk", "rescores", "subgroups", "guarded", dtype)).toContain(
          `rescores ${rest}${guarded}`,
        );
      }
    }
  }
  expect(combinations("rescore_topk", "rescores", "chosenInWorkgroup")).toEqual(
    new Set(["rescores chosenInWorkgroup", "rescores", "chosenInWorkgroup", ""]),
  );
});

test("numbers that steer loops take their special values", () => {
  const constants = kernels.filter(({ template }) => template === "score_select").map((kernel) => kernel.constants);
  for (const name of ["TILES", "STEPS", "KEEP", "KEEP_PER_LANE", "BUCKETS"]) {
    const values = constants.map((each) => each[name]!);
    expect(Math.min(...values), name).toBe(1);
    expect(Math.max(...values), name).toBeGreaterThan(1);
  }
  expect(new Set(constants.map(({ BATCH }) => BATCH))).toEqual(new Set([1, 2, 3, 4, 5, 6, 8, 9, 11, 12, 13, 16]));
  // A last tile that is not full, and one that is.
  const fullness = compiled.map(({ layer: { rows, selection, tiling } }) => rows === selection.buckets * tiling.lanes);
  expect(new Set(fullness)).toEqual(new Set([true, false]));
});

test("both selectors meet every estimator, and both comparisons meet every estimator", () => {
  const met = SOFTMAX_CASES.flatMap(({ layer: { estimator, select }, comparison }) => {
    const scores = estimator.kind === "dense" ? "dense" : (estimator.options.activations ?? "int8");
    const kind = select?.kind ?? (estimator.kind === "dense" ? "exact" : "twoStage");
    return [`${scores} ${kind}`, `${scores} ${comparison}`];
  });
  for (const scores of ["dense", "int8", "f32"]) {
    for (const other of ["exact", "twoStage", "rounded"]) expect(met).toContain(`${scores} ${other}`);
  }
});

test.each(SOFTMAX_CASES.filter(({ comparison }) => comparison === "exact").map((each) => [each.name, each] as const))(
  "%s: every score is the same float in whatever order it is summed",
  (_name, softmaxCase) => {
    expect(inexactScores(softmaxCase)).toBe(0);
  },
);

/** The scores whose terms are not all multiples of some power of two of which their sum of magnitudes has 24 bits. */
function inexactScores(softmaxCase: SoftmaxCase): number {
  const { weights, x, bias } = caseData(softmaxCase);
  const { inputs, rows } = softmaxCase.layer;
  let inexact = 0;
  for (let token = 0; token < softmaxCase.tokens; token++) {
    for (let row = 0; row < rows; row++) {
      let [magnitude, unit] = [0, Number.POSITIVE_INFINITY];
      for (let i = 0; i <= inputs; i++) {
        const isBias = i === inputs;
        const term = Math.abs(isBias ? (bias?.[row] ?? 0) : weights[row * inputs + i]! * x[token * inputs + i]!);
        // NaN and infinity stay what they are, and a product below the normal floats counts as zero.
        if (!Number.isFinite(term) || term < 2 ** -126) continue;
        magnitude += term;
        unit = Math.min(unit, lowestBit(term));
      }
      if (magnitude > unit * 2 ** 24 || magnitude >= 2 ** 128) inexact++;
    }
  }
  return inexact;
}

/** The largest power of two that a number is a multiple of. */
function lowestBit(value: number): number {
  let unit = 1;
  while (value % unit !== 0) unit /= 2;
  while (value % (unit * 2) === 0) unit *= 2;
  return unit;
}
