// Calibrations, those that cannot be, and those whose answer cannot be written.

import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { describe, expect, test, vi } from "vitest";
import { proposedPlan } from "../../../compiler/calibrate/proposed-plan.ts";
import type { Calibration } from "../../../compiler/calibrate/result.ts";
import { check } from "../../../compiler/check.ts";
import { parseGrid, parseTarget } from "../../../compiler/cli/calibrate/options.ts";
import { load } from "../../../compiler/load.ts";
import { mulberry32, normal } from "../../cases/random.ts";
import { failureOf } from "./failure.ts";
import {
  at,
  calibrated,
  diagnosticsOf,
  INPUTS,
  type Outcome,
  ROWS,
  SPEC,
  store,
  TOKENS,
  useSmallLayer,
} from "./small-layer.ts";

useSmallLayer();

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
