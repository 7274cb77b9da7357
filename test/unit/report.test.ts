// Reports as text: what is in them, that it is escaped, and that equal input gives equal bytes.

import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { flowOf } from "../../compiler/cli/explain/flow.ts";
import { explainModel } from "../../compiler/cli/explain/model.ts";
import { readsOf } from "../../compiler/reads.ts";
import { calibrationReport } from "../../compiler/report/calibration.ts";
import { escaped } from "../../compiler/report/escape.ts";
import { evaluationReport } from "../../compiler/report/evaluation.ts";
import { settingName } from "../../compiler/report/words.ts";
import type { EvaluationSummary } from "../../runtime/node/evaluate-file.ts";
import { asPlan } from "../../runtime/plan.ts";
import { calibrationInput } from "./report-input.ts";

const titles = (html: string) => [...html.matchAll(/<h[23][^>]*>([^<]*)</g)].map(([, title]) => title);

const input = await calibrationInput();
const report = await calibrationReport(input);

describe("the report of a calibration", () => {
  test("has what a head's proposal, its front and its pipeline are seen by", async () => {
    const html = report;
    expect(titles(html)).toEqual([
      ...["Proposal", "Weight bytes of a launch, of dense", "Change of the spec", "Layer head", "Recall against bytes"],
      ...["Scores, and where they are cut", "On other tokens", "First stage: predicted and measured"],
      ...["What a launch moves", "The dense layer", "How this was found"],
    ]);
    const { settings, proposal } = input.result.layers[0]!;
    const { candidates, heldOut } = settings[proposal!]!;
    expect(html).toContain(`k′ ${candidates}, `);
    expect(html).toContain(`${(100 * heldOut.recall.mean).toFixed(2)}\u00a0%`);
    expect(html).toContain('<span class="added">+  k: 2');
    for (const made of [input.run.command, input.run.date, "hirec 0.1.0", "Node 20.0.0"]) expect(html).toContain(made);
    // Every setting of the front is named where it is drawn.
    const tips = html.match(/<title>[^<]*surely[^<]*<\/title>/g)!;
    expect(tips.length).toBeGreaterThanOrEqual(settings.filter(({ front }) => front).length);
  });

  test("leads with the share of the dense bytes that its proposal saves", () => {
    const [{ settings, proposal, denseBytes }] = input.result.layers as [(typeof input.result.layers)[number]];
    const saved = Math.round(100 * (1 - settings[proposal!]!.reads.total / denseBytes));
    expect(saved).not.toBe(50);
    expect(report).toContain(`<code>head</code> ${saved} %.`);
  });

  test("names the cheaper setting that would do for a layer alone, or comes next", async () => {
    const [layer] = input.result.layers as [(typeof input.result.layers)[number]];
    const { proposal, settings } = layer;
    const later = settings.findIndex(({ bound }, i) => i > proposal! && bound >= input.result.target.value);
    const html = await calibrationReport({
      ...input,
      result: { ...input.result, layers: [{ ...layer, proposal: later }] },
    });
    const name = escaped(settingName(settings[proposal!]!));
    expect(html).toContain(`For this layer alone, <code>${name}</code> would do: it has`);
    expect(report).not.toContain("For this layer alone");
    const next = settings.slice(0, proposal!).findLast(({ front }) => front)!;
    expect(report).toContain(`The next cheaper of the front, <code>${escaped(settingName(next))}</code>, has`);
  });

  test("is the same for the same input, but for the run", async () => {
    expect(await calibrationReport(await calibrationInput())).toBe(report);
    const later = await calibrationReport({ ...input, run: { ...input.run, date: "2027-01-01T00:00:00Z" } });
    expect(later).not.toBe(report);
    expect(later.replaceAll("2027-01-01T00:00:00Z", input.run.date)).toBe(report);
  });

  test("shows the slack of a certified head, and upper bounds in place of estimates", async () => {
    const html = await calibrationReport(await calibrationInput({ certify: "report" }));
    expect(titles(html)).toContain("Certificate slack");
    expect(html).toContain("upper bounds");
  });

  test("shows groups of a feed-forward, and what its kernels hand on", async () => {
    const html = await calibrationReport(await calibrationInput({ kind: "ffn" }));
    expect(html).toContain("groups per token");
    for (const kernel of ["score_select", "select", "gather", "reduce"]) expect(html).toContain(`>${kernel}</text>`);
    expect(html).toContain("neurons are active");
  });

  test("says what is missing where nothing reaches the target", async () => {
    const target = { measure: "recall", value: 0.9999 } as const;
    const html = await calibrationReport({ ...(await calibrationInput({ target })), diff: "" });
    expect(html).toContain("error HIRE-CAL-004");
    expect(html).toContain("No setting surely reaches 99.99\u00a0%");
    expect(html).toContain("the best that can be reached");
    expect(titles(html)).not.toContain("Change of the spec");
  });

  test("is whole without a single setting, and with one", async () => {
    const [layer] = input.result.layers as [(typeof input.result.layers)[number]];
    const { proposal: _, best: __, current: ___, ...rest } = layer;
    const none = { ...rest, settings: [], scores: { ...layer.scores, estimates: [] } };
    const empty = await calibrationReport({ ...input, result: { ...input.result, layers: [none] } });
    expect(empty).toContain("No setting reads fewer bytes than the dense path");
    expect(titles(empty)).not.toContain("Recall against bytes");
    const settings = [{ ...layer.settings[layer.proposal!]!, front: true }];
    const one = { ...rest, settings, proposal: 0, best: 0 };
    const single = await calibrationReport({ ...input, result: { ...input.result, layers: [one] } });
    expect(titles(single)).toContain("Recall against bytes");
    expect(single).not.toContain("NaN");
  });

  test("leaves out a histogram of scores that are all alike", async () => {
    const html = await calibrationReport(await calibrationInput({ alike: true, rank: [] }));
    expect(titles(html)).not.toContain("Scores, and where they are cut");
    expect(html).not.toContain("NaN");
  });

  test("holds nothing that is run or fetched", async () => {
    const html = report;
    expect(html).not.toMatch(/<script|javascript:|<link|<img|@import|url\(|\son\w+=/i);
    expect(html.match(/\b(src|href)="[^#"][^"]*"/g)).toBeNull();
    expect(html).toContain("default-src 'none'");
  });

  test("escapes names that would be markup", async () => {
    const evil = '"><script>alert(1)</script>`<b>';
    const [layer] = input.result.layers as [(typeof input.result.layers)[number]];
    const renamed = { ...input.plan.layers, [evil]: input.plan.layers.head! };
    const [program] = input.plan.programs as [(typeof input.plan.programs)[number]];
    const programs = [
      { ...program, layers: { [evil]: program.layers.head! } },
    ] as unknown as typeof input.plan.programs;
    const html = await calibrationReport({
      result: { ...input.result, model: evil, spec: evil, engine: evil, layers: [{ ...layer, layer: evil }] },
      plan: { ...input.plan, layers: renamed, programs },
      diff: `--- ${evil}\n+${evil}\n`,
      run: { ...input.run, command: evil },
    });
    expect(html).not.toContain("<script");
    expect(html).not.toContain("<b>");
    expect(html.match(/&#60;script&#62;|&lt;script&gt;/g)!.length).toBeGreaterThan(10);
  });
});

describe("the report of an evaluation", () => {
  const spread = (mean: number) => ({ mean, min: 0.5, p1: 0.6, p5: 0.7, p50: 1, p95: 1, p99: 1, max: 1 });
  const warning = { severity: "warning", code: "HIRE-CAL-010", message: "Too low", fix: "Raise it" } as const;

  async function evaluated(warnings: readonly (typeof warning)[]) {
    const { plan, run, result } = input;
    const { exact, estimates } = result.layers[0]!.scores;
    const scores = { exact, estimates: estimates[0]!.counts, kth: 2, cut: 1.5 };
    const layer = {
      ...{
        layer: "head",
        kind: "softmax" as const,
        k: 8,
        candidates: 12,
        tokens: 40,
        recall: spread(0.94321),
        agreement: 1,
      },
      ...{ divergence: spread(0.2), unavoidable: spread(0.1), valueError: 0 },
      estimates: { tokens: 40, correlation: 0.98, survivingK: 0.99, predictedK: 0.98, scores },
    };
    const summary: EvaluationSummary = { device: "a device", kind: "software", layers: [layer] };
    return evaluationReport({ summary, warnings, plan, leastRecall: 0.95, run });
  }

  test("has its warnings, its results and its pipeline", async () => {
    const html = await evaluated([warning]);
    expect(titles(html)).toEqual([
      ...["Results", "Recall over tokens", "Layer head", "Scores, and where they are cut"],
      ...["What a launch moves", "The dense layer", "How this was measured"],
    ]);
    expect(html).toContain("warning HIRE-CAL-010");
    expect(html).toContain("94.32\u00a0%");
    expect(html).toContain("1 sign of failure shows");
  });

  test("and says where no sign of failure shows", async () => {
    expect(await evaluated([])).toContain("No sign of failure shows");
  });
});

describe("the flow of a launch over shards", async () => {
  const plan = asPlan(
    JSON.parse(await readFile(new URL("../../generated/tiny-lm-4/plan.json", import.meta.url), "utf8")),
    "plan.json",
  );
  const flow = (name: string) =>
    flowOf(plan, plan.programs[0]!.profile, explainModel(plan).layers.find(({ layer }) => layer === name)!);

  test("reads of a shard as many weight bytes as are counted, and hands what it sends to the merge", () => {
    const steps = flow("head");
    expect(steps.map(({ name }) => name)).toEqual(["score_select", "rescore_topk", "merge"]);
    const part = plan.shards!.parts[0]!.layers.head!;
    const read = steps.flatMap(({ weights }) => weights).reduce((sum, { bytes }) => sum + bytes, 0);
    expect(read).toBeCloseTo(readsOf(part, part.batch).total, 6);
    expect(steps[1]!.writes.what).toBe("pairs");
    expect(steps[1]!.writes.bytes).toBeGreaterThan(0);
    expect(steps[2]!.writes.what).toContain("indices");
  });

  test("of a feed-forward ends with its output", () => {
    expect(flow("mlp0").at(-1)!.writes).toMatchObject({ what: expect.stringContaining("output") });
  });
});

describe("the colours of the page", async () => {
  const style = await readFile(new URL("../../templates/report/style.hbs", import.meta.url), "utf8");
  const themes = [...style.matchAll(/:root \{([^}]*)\}/g)].map(([, body]) =>
    Object.fromEntries([...body!.matchAll(/--(\w+): (#\w{6})/g)].map(([, name, value]) => [name, value!])),
  );

  test.each(["light", "dark", "print"].map((name, i) => [name, i] as const))("can be read, %s", (_, i) => {
    const theme = themes[i]!;
    const grounds = [theme.page!, theme.card!];
    for (const name of ["text", "dim", "blue", "orange", "green"]) {
      for (const ground of grounds) expect(contrast(theme[name]!, ground), `${name} on ${ground}`).toBeGreaterThan(4.5);
    }
    for (const ground of ["added", "removed", "marked"]) {
      expect(contrast(theme.text!, theme[ground]!), ground).toBeGreaterThan(4.5);
    }
  });

  /** WCAG 2.2, relative luminance and contrast ratio. */
  function contrast(a: string, b: string): number {
    const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
    return (light + 0.05) / (dark + 0.05);
  }

  function luminance(color: string): number {
    const [red, green, blue] = [1, 3, 5]
      .map((at) => Number.parseInt(color.slice(at, at + 2), 16) / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)) as [
      number,
      number,
      number,
    ];
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
});
