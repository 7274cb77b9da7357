// The ablations of tiny-lm in a short form, against the committed results.

import { beforeAll, describe, expect, test } from "vitest";
import type { StudyLayer } from "../../bench/ablations/layer.ts";
import { readResults } from "../../bench/ablations/results.ts";
import { codes, type Grid, keyOf, type Setting } from "../../bench/ablations/settings.ts";
import { type LayerStudy, studyLayer } from "../../bench/ablations/study.ts";
import { tinyLmLayers } from "../../bench/ablations/tiny-lm.ts";
import { studyModel } from "../../bench/ablations/whole-model.ts";
import { plainProduct } from "../../runtime/measure/product.ts";

describe("the study of tiny-lm in a short form", () => {
  let own: readonly StudyLayer[];
  let results: readonly LayerStudy[];
  beforeAll(async () => {
    own = await tinyLmLayers(64, plainProduct);
    const grid: Grid = {
      ...{ estimators: [codes(2)], candidates: [1, 2], shards: [2], slacks: [2] },
      combined: { estimators: [codes(2)], shards: [8], slacks: [1, 2] },
      ...{ inputs: [0.5], gates: [0.25], shortlists: [0.25] },
    };
    const studied = own.filter(({ name }) => name === "head" || name === "mlp1");
    results = await Promise.all(studied.map((layer) => studyLayer(layer, grid, plainProduct)));
  });

  test("loses by both halves at least what it loses by each", () => {
    for (const { interactions } of results) {
      expect(interactions).toHaveLength(4);
      for (const { compression, distributed, both, interaction } of interactions) {
        expect(both).toBeLessThanOrEqual(Math.min(compression, distributed) + 0.01);
        expect(interaction.mean).toBeCloseTo(both - (compression + distributed - 1), 9);
      }
    }
  });

  test("agrees with the committed results within what so few tokens show", async () => {
    const committed = await readResults("tiny-lm");
    let compared = 0;
    for (const { layer, points } of results) {
      const same = committed.layers.find((each) => each.layer === layer)!;
      for (const { setting, recall, bytes } of points) {
        const other = same.points.find((point) => keyOf(point.setting) === keyOf(setting));
        // What is frequent among so few tokens is not what is frequent among many.
        if (!other || setting.method === "shortlist") continue;
        compared++;
        expect(Math.abs(recall.mean - other.recall.mean), keyOf(setting)).toBeLessThan(0.05);
        expect(bytes / other.bytes, keyOf(setting)).toBeCloseTo(1, 1);
      }
    }
    expect(compared).toBeGreaterThan(15);
  });

  test("changes nothing of the whole model where nothing is dropped, and something where much is", async () => {
    const ffn: Setting = { method: "compression", estimator: codes(2), candidates: 128 };
    const [exact, same, worse] = await studyModel(
      own,
      [
        { name: "all groups", ffn },
        { name: "codes", head: { method: "codes", estimator: codes(2) } },
      ],
      128,
      plainProduct,
    );
    expect(same!.change.mean).toBeCloseTo(0, 5);
    expect(same!.agreement.mean).toBe(1);
    expect(worse!.change.mean).not.toBeCloseTo(0, 2);
    expect(worse!.agreement.mean).toBeLessThan(0.95);
    // 8913 KB of weights, see docs/tiny-lm.md.
    expect(exact!.bytes).toBe(8_912_896);
  });
});
