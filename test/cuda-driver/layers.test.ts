// Layers through the CUDA driver API, on the card that test/cuda-host makes of a CPU.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Card, missing, openCard } from "./card.ts";
import { sectionOfCases } from "./on-device.ts";

const cases = sectionOfCases();

describe.skipIf(missing)(`CUDA layers through a driver on the CPU${missing ? `, skipped: ${missing}` : ""}`, () => {
  let card: Card;
  beforeAll(async () => {
    card = await openCard();
  });
  afterAll(() => {
    card.device.close();
    expect(card.live(), "what nobody has freed").toBe(0);
  });

  test.each(cases.map((each) => [each.name, each] as const))("%s", async (_, each) => {
    const before = card.live();
    expect(await each.problems(card.device)).toEqual([]);
    expect(card.live(), "what the model has not freed").toBe(before);
  });

  test("the cases have every kind of kernel, and more tokens than a batch", () => {
    const kernels = cases.flatMap(({ compiled }) => compiled.program.kernels);
    expect([...new Set(kernels.map(({ template }) => template))].sort()).toEqual([
      "fallback_plan",
      "fallback_score",
      "gather",
      "project",
      "quantize",
      "reduce",
      "rescore_topk",
      "sample",
      "score_select",
    ]);
    expect(cases.every(({ compiled: { layer, data } }) => data.x.length / layer.inputs > layer.batch)).toBe(true);
  });
});
