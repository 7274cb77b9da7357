// What plots of reports draw, and how they and the text write shares.

import { describe, expect, test } from "vitest";
import { frontPlot } from "../../compiler/report/figures/front.ts";
import { type ScoresInput, scoresPlot } from "../../compiler/report/figures/scores.ts";
import { nines, topOf } from "../../compiler/report/nines.ts";
import { draw, type Plot } from "../../compiler/report/plot.ts";
import { percent } from "../../compiler/report/words.ts";
import { calibrationInput } from "./report-input.ts";

test.each([
  [0.5, "50.00"],
  [0.99994, "99.99"],
  [0.99996, "99.99"],
  [1, "100.00"],
])("a share of %d reads %s %%: almost all is not all", (share, text) => {
  expect(percent(share)).toBe(`${text}\u00a0%`);
});

test("shares lie by the tenths of their misses, and none missed above the fewest", () => {
  expect([0, 0.9, 0.99, 0.999].map((share) => nines(share, 9))).toEqual(
    [0, 1, 2, 3].map((at) => expect.closeTo(at, 9)),
  );
  expect(nines(1, 3.5)).toBe(3.5);
  expect(topOf([0.9, 0.99, 1])).toBeCloseTo(2 + 1 / 3, 9);
  expect(topOf([1])).toBe(1);
});

test("lines of a plot go where its values are, in fewer letters along an axis", async () => {
  const values = [
    { i: 0, x: 0, y: 0 },
    { i: 1, x: 10, y: 0 },
    { i: 2, x: 10, y: 5 },
    { i: 3, x: 20, y: 10 },
  ];
  const axis = { axis: null, scale: { nice: false } } as const;
  const spec = {
    ...{ width: 200, height: 100, data: { values }, mark: "line" },
    encoding: {
      x: { field: "x", type: "quantitative", ...axis },
      y: { field: "y", type: "quantitative", ...axis },
      order: { field: "i", type: "quantitative" },
    },
  } as Plot["spec"];
  const svg = await draw({ spec, title: "a < b", description: "a line" }, "line");
  expect(svg).toContain(' d="M0,100H100V50L200,0"');
  expect(svg).toContain('<title id="line-title">a &#60; b</title><desc id="line-desc">a line</desc>');
});

describe("the names of the cuts stand outside them", () => {
  const input: ScoresInput = {
    ...{ layer: "head", exact: { from: 0, to: 2, counts: [1, 1] }, estimates: [1, 1], tokens: 1, k: 8, candidates: 12 },
    ...{ kth: 1, cut: 0.5, choices: "rows", isBound: false },
  };
  test.each([
    [0.5, { "k = 8": "left", "k′ = 12": "right" }],
    [1.5, { "k = 8": "right", "k′ = 12": "left" }],
  ])("where the last candidate is at %d", (cut, aligned) => {
    const { layer } = scoresPlot({ ...input, cut }).spec as unknown as {
      layer: { mark: { align?: string }; data: { values: { text?: string }[] } }[];
    };
    const names = layer.filter(({ mark }) => mark.align).map(({ mark, data }) => [data.values[0]!.text, mark.align]);
    expect(Object.fromEntries(names)).toEqual(aligned);
  });
});

test("the line of an estimator has no setting that a cheaper one of it beats", async () => {
  const { result } = await calibrationInput();
  const [layer] = result.layers as [(typeof result.layers)[number]];
  const { spec } = frontPlot(layer, result.target, false);
  const [{ data }] = (
    spec as unknown as { layer: [{ data: { values: { name: string; cost: number; place: number }[] } }] }
  ).layer;
  const last = new Map<string, { cost: number; place: number }>();
  for (const { name, cost, place } of data.values) {
    const before = last.get(name);
    if (before) {
      expect(cost, name).toBeGreaterThanOrEqual(before.cost);
      expect(place, name).toBeGreaterThan(before.place);
    }
    last.set(name, { cost, place });
  }
  expect(data.values.length).toBeGreaterThan(last.size);
  expect(data.values.length).toBeLessThan(layer.settings.length);
});
