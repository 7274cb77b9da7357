// Calibrations that cannot be, or whose answer cannot be written; and the warnings of an evaluation.

import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { proposedPlan } from "../../../compiler/calibrate/proposed-plan.ts";
import type { Calibration } from "../../../compiler/calibrate/result.ts";
import { check } from "../../../compiler/check.ts";
import { parseGrid, parseTarget } from "../../../compiler/cli/calibrate/options.ts";
import { calibrateCommand } from "../../../compiler/cli/commands/calibrate.ts";
import { evaluateCommand } from "../../../compiler/cli/commands/evaluate.ts";
import { packCommand } from "../../../compiler/cli/commands/pack.ts";
import { warningsOf } from "../../../compiler/cli/evaluate/warnings.ts";
import { load } from "../../../compiler/load.ts";
import type { Diagnostic } from "../../../runtime/errors.ts";
import type { LayerEvaluation } from "../../../runtime/node/evaluate-file.ts";
import { writeSafetensors } from "../../../runtime/node/safetensors-file.ts";
import { mulberry32, normal } from "../../cases/random.ts";
import { failureOf } from "./failure.ts";

const [INPUTS, ROWS, TOKENS] = [32, 512, 256];

const SPEC = `import { defineModel, quantized, softmax, twoStage } from "hirec";

export default defineModel("small", {
  // The head of it all.
  head: softmax({
    inputs: ${INPUTS}, rows: ${ROWS}, dtype: "f32", weight: "w",
    estimator: quantized({ bits: 8, group: 32 }), // codes
    k: 8,
    candidates: 64,
    select: twoStage({ recall: 0.99 }),
  }),
});
`;

let folder: string;
const at = (name: string) => join(folder, name);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-calibrate-"));
  vi.stubEnv("XDG_CACHE_HOME", at("cache"));
  await writeFile(at("small.hire.ts"), SPEC);
  const random = mulberry32(5);
  await store("w", "w", [ROWS, INPUTS], () => normal(random));
  await store("x", "head.input", [TOKENS, INPUTS], () => normal(random));
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

async function store(file: string, name: string, shape: number[], value: (i: number) => number): Promise<void> {
  const numbers = Float32Array.from({ length: shape[0]! * shape[1]! }, (_, i) => value(i));
  const tensor = { name, dtype: "F32" as const, shape, bytes: () => new Uint8Array(numbers.buffer) };
  await writeSafetensors(at(`${file}.safetensors`), [tensor], {}, "HIRE-RUN-009");
}

interface Outcome {
  readonly exitCode: number | undefined;
  readonly ok: boolean;
  readonly [result: string]: unknown;
}

/** What a command prints with --json. */
async function outcomeOf(command: { handler: unknown }, args: object): Promise<Outcome> {
  let output = "";
  const exit = vi.spyOn(process, "exit").mockReturnValue(undefined as never);
  vi.spyOn(process.stdout, "write").mockImplementation((text, done?: unknown) => {
    output += text;
    if (typeof done === "function") done();
    return true;
  });
  await (command.handler as (args: object) => Promise<void>)({ json: true, _: [], $0: "hirec", ...args });
  const [[exitCode] = []] = exit.mock.calls as [number?][];
  vi.restoreAllMocks();
  return { exitCode, ...JSON.parse(output) };
}

const calibrated = (changes: object = {}) =>
  outcomeOf(calibrateCommand, {
    ...{ spec: at("small.hire.ts"), weights: [at("w.safetensors")], activations: [at("x.safetensors")] },
    ...{ target: "recall=0.95", seed: 1, tokens: 1024, write: false, "dry-run": false, fresh: false },
    ...{ bits: [4, 8], rank: [0], candidates: [8, 12, 16, 24] },
    ...changes,
  });

const diagnosticsOf = ({ diagnostics, problems }: Outcome) => (diagnostics ?? problems) as readonly Diagnostic[];

test("the cheapest setting that reaches the target is shown as a diff, and written when asked", async () => {
  const shown = await calibrated();
  expect(shown).toMatchObject({ exitCode: 0, ok: true, written: false, problems: [] });
  expect(await readFile(at("small.hire.ts"), "utf8")).toBe(SPEC);
  expect(shown.diff).toMatch(/^-.*bits: 8, group: 32.*\n/m);
  const written = await calibrated({ write: true, out: at("out.json") });
  expect(written).toMatchObject({ exitCode: 0, written: true, diff: shown.diff });
  const text = await readFile(at("small.hire.ts"), "utf8");
  expect(text).toMatch(/estimator: quantized\(\{ bits: 4, group: \d+ \}\), \/\/ codes\n/);
  expect(text).toContain("// The head of it all.");
  const { layers } = JSON.parse(await readFile(at("out.json"), "utf8"));
  const [{ settings, proposal, tokens }] = layers;
  expect(tokens).toEqual({ recorded: TOKENS, distinct: TOKENS, calibration: TOKENS / 2, heldOut: TOKENS / 2 });
  const reaches = (each: { calibration: { recall: { mean: number } }; bound: number }) =>
    each.calibration.recall.mean >= 0.95 && each.bound >= 0.95;
  expect(settings.findIndex(reaches)).toBe(proposal);
  const costs = settings.map(({ cost }: { cost: number }) => cost);
  expect(costs).toEqual([...costs].sort((a, b) => a - b));
});

test("a head is calibrated for proofs as well", async () => {
  await writeFile(at("small.hire.ts"), SPEC.replace("k: 8,", 'k: 8, certify: "report",'));
  const { layers, problems } = await calibrated({ target: "certified=0.8", candidates: [16, 24, 32] });
  const [{ settings, proposal }] = layers as [Calibration["layers"][number]];
  const { calibration, heldOut, bound } = settings[proposal!]!;
  expect(problems).toEqual([]);
  expect(Math.min(calibration.certified!, heldOut.certified!, bound)).toBeGreaterThanOrEqual(0.8);
  expect(heldOut.slack!.p50).toBeGreaterThan(0);
});

test("times are measured of the proposal, of what the spec says, and of the dense layer", async () => {
  const { layers } = (await calibrated({ time: "reference" })) as unknown as Calibration;
  const [{ settings, proposal, current, denseMilliseconds }] = layers as [Calibration["layers"][number]];
  expect(denseMilliseconds).toBeGreaterThan(0);
  for (const place of [proposal, current]) expect(settings[place!]!.milliseconds).toBeGreaterThan(0);
  expect(settings.filter(({ milliseconds }) => milliseconds !== undefined).length).toBeLessThanOrEqual(6);
});

test("equal runs give equal results, also after an interruption, which is not measured again", async () => {
  const { seconds: _, peakBytes: __, ...first } = await calibrated({ fresh: true });
  let finished = 0;
  const measure = await import("../../../runtime/measure/settings.ts");
  const spy = vi.spyOn(measure, "measureSettings");
  const { seconds: ___, peakBytes: ____, ...second } = await calibrated();
  finished = spy.mock.calls.length;
  expect(second).toEqual(first);
  expect(finished).toBe(0);
  const { seconds: _____, peakBytes: ______, ...other } = await calibrated({ seed: 2 });
  expect(other.layers).not.toEqual(first.layers);
});

test("HIRE-CAL-007 for slack where there are no shards", async () => {
  expect(diagnosticsOf(await calibrated({ slack: [2] }))).toMatchObject([{ code: "HIRE-CAL-007" }]);
});

describe("a head over shards", () => {
  const sharded = (shards: string) => SPEC.replace("k: 8,", `k: 8, shards: ${shards},`);
  /** Rows that grow smaller, as those of a vocabulary sorted by frequency. */
  const storeSorted = async () => {
    const random = mulberry32(5);
    await store("w", "w", [ROWS, INPUTS], (i) => normal(random) / (1 + Math.floor(i / INPUTS) / 32));
  };

  test("gets the slack and the rows to send that its inputs need", async () => {
    await storeSorted();
    const asked = '{ count: 4, layout: "contiguous", slack: { recall: 0.95 }, exchange: { resend: 0.1 } }';
    await writeFile(at("small.hire.ts"), sharded(asked));
    const model = check(await load(at("small.hire.ts")));
    const written = await calibrated({ write: true });
    expect(written).toMatchObject({ exitCode: 0, written: true, problems: [] });
    const [{ shards }] = (written as unknown as Calibration).layers as [Calibration["layers"][number]];
    const { change, keep, selected } = shards!.proposal!;
    const found = shards!.slacks.find((each) => each.selected === selected && each.keep === keep)!;
    expect(found.bound).toBeGreaterThanOrEqual(0.95);
    expect(change.slack).toBe(found.slack);
    const { layers: compiled } = proposedPlan(model, written as unknown as Calibration);
    expect(compiled.head!.sharding).toMatchObject({ keep, sent: change.exchange });
    const text = await readFile(at("small.hire.ts"), "utf8");
    expect(text).toContain(`layout: "contiguous", slack: ${change.slack}, exchange: ${change.exchange} }`);
    // What it says now is what is proposed.
    const { layers } = (await calibrated()) as unknown as Calibration;
    expect(layers[0]!.shards!.proposal).toMatchObject({ keep, sent: change.exchange });
  });

  test("is timed whole", async () => {
    await writeFile(at("small.hire.ts"), sharded("4"));
    const { layers } = (await calibrated({ time: "reference", bits: [8] })) as unknown as Calibration;
    expect(layers[0]!.settings[layers[0]!.proposal!]!.milliseconds).toBeGreaterThan(0);
  });

  test("HIRE-CAL-004 says what the most slack reaches", async () => {
    await storeSorted();
    await writeFile(at("small.hire.ts"), sharded('{ count: 4, layout: "contiguous", slack: 1 }'));
    const outcome = await calibrated({ slack: [1] });
    expect(outcome).toMatchObject({ exitCode: 1, ok: false });
    expect(diagnosticsOf(outcome)).toMatchObject([
      {
        code: "HIRE-CAL-004",
        message: expect.stringMatching(/^No slack reaches .*"head" wants 0.999, slack 1 has 0\./),
      },
    ]);
  });
});

test("HIRE-CAL-001 names the layer whose inputs no file holds", async () => {
  await store("other", "tail.input", [TOKENS, INPUTS], () => 1);
  const outcome = await calibrated({ activations: [at("other.safetensors")] });
  expect(outcome.exitCode).toBe(1);
  expect(diagnosticsOf(outcome)).toMatchObject([{ code: "HIRE-CAL-001", message: expect.stringContaining('"head"') }]);
});

test.each([
  ["the width is wrong", [TOKENS, 16], () => 1, "[256,16]"],
  ["one is NaN", [TOKENS, INPUTS], (i: number) => (i === 70 ? Number.NaN : i), "NaN in token 2"],
] as const)("HIRE-PACK-011 where %s", async (_what, shape, value, says) => {
  await store("bad", "head.input", [...shape], value);
  const outcome = await calibrated({ activations: [at("bad.safetensors")] });
  expect(diagnosticsOf(outcome)).toMatchObject([{ code: "HIRE-PACK-011", message: expect.stringContaining(says) }]);
});

test("HIRE-CAL-002 says how many tokens it takes to show the target", async () => {
  const { problems: _, ...rest } = await calibrated({ target: "agreement=0.99" });
  const [problem] = diagnosticsOf(rest as Outcome);
  // 1.645² · 99 held-out tokens without a miss.
  expect(problem).toMatchObject({ code: "HIRE-CAL-002", message: expect.stringMatching(/takes 268$/) });
  expect(problem!.fix).toContain("at least 536");
  await store("few", "head.input", [20, INPUTS], (i) => Math.sin(i));
  const few = diagnosticsOf(await calibrated({ activations: [at("few.safetensors")] }));
  expect(few).toMatchObject([{ code: "HIRE-CAL-002", message: expect.stringMatching(/^20 different .* takes 16$/) }]);
  const limited = diagnosticsOf(await calibrated({ tokens: 20 }));
  expect(limited).toMatchObject([
    { code: "HIRE-CAL-002", fix: expect.stringMatching(/^Raise --tokens to at least 32 different/) },
  ]);
});

test("HIRE-CAL-003 where all tokens are equal", async () => {
  await store("equal", "head.input", [TOKENS, INPUTS], (i) => i % INPUTS);
  const outcome = await calibrated({ activations: [at("equal.safetensors")] });
  expect(diagnosticsOf(outcome)).toMatchObject([{ code: "HIRE-CAL-003", message: expect.stringMatching(/^All 256 /) }]);
});

test("HIRE-CAL-004 says the best that can be reached, and what was measured is written nevertheless", async () => {
  // Its own setting is not measured, because it is dense.
  const text = SPEC.replace(/estimator: .*\n/, "estimator: dense(),\n").replace(/ {4}(candidates|select): .*\n/g, "");
  await writeFile(at("small.hire.ts"), text.replace("quantized,", "dense,"));
  const outcome = await calibrated({ target: "recall=0.98", bits: [2], candidates: [8], out: at("o.json") });
  expect(outcome).toMatchObject({ exitCode: 1, ok: false, diff: "" });
  expect(diagnosticsOf(outcome)).toMatchObject([
    {
      code: "HIRE-CAL-004",
      message: expect.stringMatching(
        /^No setting of layer "head" reaches recall 0.98: the best of layer "head" has 0\.\d{4}, surely 0\.\d{4}/,
      ),
    },
  ]);
  expect(existsSync(at("o.json"))).toBe(true);
});

describe("HIRE-CAL-005: values that are not written in the layer's call are printed, and nothing is written", () => {
  test.each([
    [
      "a variable",
      SPEC.replace("quantized({ bits: 8, group: 32 })", "codes").replace(
        "export",
        "const codes = quantized({ bits: 8 });\nexport",
      ),
      "estimator comes from a variable or helper",
      "estimator: codes",
    ],
    [
      "a spread",
      SPEC.replace("k: 8,", "k: 8, ...{ candidates: 64 },").replace("    candidates: 64,\n", ""),
      "candidates comes from a spread",
      "...{ candidates: 64 }",
    ],
    [
      "a computation",
      SPEC.replace("candidates: 64", "candidates: 8 * 8"),
      "candidates is not a plain value",
      "candidates: 8 * 8",
    ],
    [
      "a constant of options",
      SPEC.replace("softmax({", "softmax(options), tail: softmax({").replace(
        "export",
        `const options = { inputs: ${INPUTS}, rows: ${ROWS}, dtype: "f32", weight: "w", estimator: quantized({ bits: 8 }), k: 8, candidates: 64 } as const;\nexport`,
      ),
      "its options are not written in its call",
      "options",
    ],
    [
      "a value that another layer takes over",
      `import { defineModel, quantized, softmax } from "hirec";
const head = softmax({ inputs: ${INPUTS}, rows: ${ROWS}, dtype: "f32", weight: "w", estimator: quantized({ bits: 8 }), k: 8 });
export default defineModel("small", { head, tail: softmax({ ...head.options, weight: "v" }) });
`,
      'the edited spec says something else of "tail" than what was meant',
      undefined,
    ],
    [
      "a helper that writes another layer too",
      `import { defineModel, quantized, softmax } from "hirec";
const head = () => softmax({ inputs: ${INPUTS}, rows: ${ROWS}, dtype: "f32", weight: "w", estimator: quantized({ bits: 8 }), k: 8, candidates: 64 });
export default defineModel("small", { head: head(), tail: head() });
`,
      'the same call writes "tail", which is not calibrated',
      "softmax({",
    ],
  ] as const)("%s", async (_what, text, says, place) => {
    await writeFile(at("small.hire.ts"), text);
    const outcome = await calibrated({ write: true });
    expect(outcome).toMatchObject({ exitCode: 1, ok: false, written: false });
    const [problem, ...others] = diagnosticsOf(outcome);
    expect(others).toEqual([]);
    expect(problem).toMatchObject({ code: "HIRE-CAL-005", message: expect.stringContaining(says) });
    expect(problem!.fix).toMatch(
      /^Write them yourself: estimator: quantized\(\{ bits: 4.* \}\), candidates: \d+, select: \w+\(/,
    );
    if (place === undefined) return;
    const { line, column } = problem!.span!;
    expect(text.split("\n")[line - 1]!.slice(column - 1)).toMatch(
      new RegExp(`^${place.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`),
    );
    expect(await readFile(at("small.hire.ts"), "utf8")).toBe(text);
  });
});

test("a call that writes several layers is edited when all of them are calibrated, and gives them one setting", async () => {
  const text = `import * as hire from "hirec";
const heads = ["a", "b"].map((name) => [name, hire.softmax({
  inputs: ${INPUTS}, rows: ${ROWS}, dtype: "f32", weight: "w", estimator: hire.dense(), k: 8
})] as const);
export default hire.defineModel("small", Object.fromEntries(heads));
`;
  await writeFile(at("small.hire.ts"), text);
  const random = mulberry32(9);
  await store("a", "a.input", [TOKENS, INPUTS], () => normal(random));
  await store("b", "b.input", [TOKENS, INPUTS], () => normal(random));
  const activations = [at("a.safetensors"), at("b.safetensors")];
  const outcome = await calibrated({ activations, write: true });
  expect(outcome).toMatchObject({ exitCode: 0, written: true, problems: [] });
  expect(await readFile(at("small.hire.ts"), "utf8")).toMatch(
    /estimator: hire\.quantized\(\{ bits: 4.*\}\), k: 8, candidates: \d+(, select: hire\..*)?\n\}\)\] as const/,
  );
});

test("a builder that is not imported yet is, once", async () => {
  const head = `softmax({
    inputs: ${INPUTS}, rows: ${ROWS}, dtype: "f32", weight: "w",
    estimator: dense(), // for now
    k: 8,
  })`;
  const text = `import { defineModel, dense, softmax } from "hirec";
export default defineModel("small", {
  head: ${head},
  tail: ${head},
});
`;
  await writeFile(at("small.hire.ts"), text);
  const random = mulberry32(9);
  await store("tail", "tail.input", [TOKENS, INPUTS], () => normal(random));
  const activations = [at("x.safetensors"), at("tail.safetensors")];
  expect(await calibrated({ activations, write: true, bits: [8], group: ["row"], select: [0.99] })).toMatchObject({
    problems: [],
  });
  const edited = await readFile(at("small.hire.ts"), "utf8");
  expect(edited).toContain('import { defineModel, dense, softmax, quantized } from "hirec";');
  expect(edited).toMatch(
    /estimator: quantized\(\{ bits: 8, group: "row" \}\), \/\/ for now\n {4}k: 8,\n {4}candidates: \d+,\n {2}\}\)/,
  );
});

test("a report of a calibration and of an evaluation is written beside the result, with the diff", async () => {
  const shown = await calibrated({ out: at("out.json"), report: at("new/report.html") });
  expect(shown).toMatchObject({ exitCode: 0, ok: true });
  const html = await readFile(at("new/report.html"), "utf8");
  expect(html).toContain("<h1>Calibration of small</h1>");
  expect(html).toContain('<span class="removed">-    estimator: quantized({ bits: 8, group: 32 }), // codes');
  const paths = { module: at("small.hire.ts"), weights: [at("w.safetensors")], activations: undefined };
  await outcomeOf(packCommand, { ...paths, out: at("small.pack") });
  const evaluated = await outcomeOf(evaluateCommand, {
    ...{ module: at("small.hire.ts"), weights: at("small.pack"), exact: [at("w.safetensors")], recall: 1.1 },
    ...{ activations: [at("x.safetensors")], device: "reference", tokens: 16, report: at("evaluation.html") },
  });
  expect(evaluated.exitCode).toBe(0);
  expect(await readFile(at("evaluation.html"), "utf8")).toContain("warning HIRE-CAL-010");
});

describe("HIRE-CAL-006 before anything is measured where --report is", () => {
  test.each([
    ["the spec", "small.hire.ts"],
    ["a file of weights", "w.safetensors"],
    ["the file of --out", "out.json"],
  ])("%s", async (_, file) => {
    const before = existsSync(at(file)) && (await readFile(at(file)));
    const outcome = await calibrated({ report: at(file), out: at("out.json") });
    expect(outcome.exitCode).toBe(1);
    expect(diagnosticsOf(outcome)).toMatchObject([{ code: "HIRE-CAL-006" }]);
    expect(existsSync(at(file)) && (await readFile(at(file)))).toEqual(before);
    expect(existsSync(at("cache"))).toBe(false);
  });
});

test("HIRE-CAL-006 where a report cannot be written, and nothing is left of it", async () => {
  const outcome = await calibrated({ report: at("w.safetensors/report.html") });
  expect(diagnosticsOf(outcome)).toMatchObject([{ code: "HIRE-CAL-006" }]);
  await mkdir(at("folder"));
  const folder = await calibrated({ report: at("folder") });
  expect(diagnosticsOf(folder)).toMatchObject([{ code: "HIRE-CAL-006", message: expect.stringContaining("folder") }]);
  expect((await readdir(at(""))).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});

test("HIRE-CAL-006 where the result cannot be written", async () => {
  const outcome = await calibrated({ out: at("w.safetensors/out.json") });
  expect(diagnosticsOf(outcome)).toMatchObject([{ code: "HIRE-CAL-006" }]);
});

test.each(["recall", "recall=1", "recall=99", "perplexity=0.1", "recall=0.9x"])(
  "HIRE-CAL-007 for the target %s",
  async (text) => {
    expect(await failureOf(() => parseTarget(text))).toMatchObject({ code: "HIRE-CAL-007" });
  },
);

test.each([
  { bits: [7] },
  { group: ["16"] },
  { rank: [1.5] },
  { "rank-bits": [5] },
  { basis: ["tokens"] },
  { candidates: [0] },
  { select: [2] },
  { slack: [0.5] },
  { slack: [Number.NaN] },
])("HIRE-CAL-007 for %o", async (given) => {
  const none = { bits: undefined, group: undefined, rank: undefined, "rank-bits": undefined };
  const rest = { basis: undefined, candidates: undefined, select: undefined, slack: undefined };
  expect(await failureOf(() => parseGrid({ ...none, ...rest, ...given }))).toMatchObject({ code: "HIRE-CAL-007" });
});

describe("an evaluation warns where a sign of failure shows", () => {
  const summary = (mean: number) => ({ mean, min: 0, p1: 0, p5: 0, p50: 1, p95: 1, p99: 1, max: 1 });
  const good: LayerEvaluation = {
    ...{ layer: "head", kind: "softmax", k: 8, candidates: 32, tokens: 100, recall: summary(0.99), agreement: 1 },
    certified: 0.9,
    estimates: {
      ...{ tokens: 64, correlation: 0.99, survivingK: 0.991, predictedK: 0.99 },
      scores: { exact: { from: 0, to: 1, counts: [1] }, estimates: [1], kth: 1, cut: 1 },
    },
  };

  test.each([
    ["HIRE-CAL-010", { recall: summary(0.94) }],
    ["HIRE-CAL-011", { estimates: { ...good.estimates!, survivingK: 0.93 } }],
    ["HIRE-CAL-012", { estimates: { ...good.estimates!, correlation: 0.85 } }],
    ["HIRE-CAL-013", { certified: 0.2 }],
  ])("%s", (code, changes) => {
    expect(warningsOf(good, 0.95)).toEqual([]);
    expect(warningsOf({ ...good, ...changes }, 0.95).map((warning) => warning.code)).toEqual([code]);
  });

  test("and compares what a device returns with the exact layer", async () => {
    await writeFile(at("small.hire.ts"), SPEC.replace("bits: 8", "bits: 2").replace("candidates: 64", "candidates: 8"));
    const paths = { module: at("small.hire.ts"), weights: [at("w.safetensors")], activations: undefined };
    await outcomeOf(packCommand, { ...paths, out: at("small.pack") });
    const evaluated = await outcomeOf(evaluateCommand, {
      ...{ module: at("small.hire.ts"), weights: at("small.pack"), exact: [at("w.safetensors")] },
      ...{ activations: [at("x.safetensors")], device: "reference", tokens: 40, recall: 0.95 },
    });
    expect(evaluated).toMatchObject({ exitCode: 0, warnings: [{ code: "HIRE-CAL-010" }, ...([] as object[])] });
    const [layer] = evaluated.layers as LayerEvaluation[];
    expect(layer).toMatchObject({ layer: "head", tokens: 40, estimates: { tokens: 40 } });
    // Eight candidates for eight results: what the estimates choose is returned.
    expect(layer!.recall.mean).toBeLessThan(0.9);
    expect(layer!.valueError).toBeLessThan(1e-4);
    expect(layer!.divergence!.mean).toBeGreaterThan(layer!.unavoidable!.mean);
  });
});
