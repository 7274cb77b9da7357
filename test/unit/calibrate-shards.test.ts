// What calibration measures of shards, against layers that really run over shards, and where rows do not lie at random.

import { describe, expect, test } from "vitest";
import { gridOf } from "../../compiler/calibrate/grid.ts";
import type { LayerCalibration, ShardCalibration } from "../../compiler/calibrate/result.ts";
import { calibrateShards, proposeForShards } from "../../compiler/calibrate/shards.ts";
import { check } from "../../compiler/check.ts";
import { formatShards } from "../../compiler/cli/calibrate/shards-text.ts";
import { PROFILES } from "../../compiler/profiles.ts";
import { smallestKeep } from "../../compiler/recall.ts";
import { smallestSent } from "../../compiler/shard-odds.ts";
import { tile } from "../../compiler/tile.ts";
import { defineModel, dense, quantized, type ShardOptions, softmax } from "../../dsl/index.ts";
import { exactLayer } from "../../runtime/measure/exact.ts";
import { plainProduct } from "../../runtime/measure/product.ts";
import { selectOverShards } from "../../runtime/measure/shards.ts";
import { createReferenceFfn } from "../../runtime/reference/ffn.ts";
import { referenceLoader } from "../../runtime/reference/shards.ts";
import { LAYER } from "../cases/compile-case.ts";
import { compileFfn } from "../cases/compile-ffn.ts";
import type { FfnCase } from "../cases/ffn-case.ts";
import { each, normals } from "../cases/fills.ts";
import { mulberry32, normal } from "../cases/random.ts";
import { rowOf } from "../cases/selected.ts";
import { compileSharded, compileShardedFfn, DENSE_HEAD, runShards } from "../cases/sharded.ts";
import { filled } from "../cases/softmax-case.ts";

const PROFILE = [PROFILES.wgsl.at(-1)!];
const LAYOUTS = ["interleaved", "contiguous"] as const;

describe.each(LAYOUTS)("%s", (layout) => {
  test.each([1, 2, 3, 5])("a second exchange is measured where shards that send %d rows make one", async (sent) => {
    const compiled = compileSharded(DENSE_HEAD, { count: 4, layout, exchange: sent }, PROFILE);
    const { x, weightBytes } = compiled.data;
    const loader = referenceLoader.bind(undefined, compiled.plan);
    const [result] = await runShards(compiled, loader, (layer) => layer.run(x));
    const { rows, inputs, dtype } = compiled.layer;
    const scored = { rows, inputs, dtype, bytes: weightBytes };
    const exact = await exactLayer(compiled.layer, { scored }, x, plainProduct, () => false);
    const resends = selectOverShards(exact, { count: 4, layout }, compiled.layer.k).resends(sent);
    expect(resends.reduce((sum, flag) => sum + flag, 0)).toBe(result!.resent);
  });

  test("recall and error of a feed-forward are those of its shards", async () => {
    const ffnCase: FfnCase = {
      name: "random groups",
      layer: {
        ...{ inputs: 16, hidden: 190, outputs: 6, dtype: "f32", group: { size: 4 }, k: 12, common: 3, batch: 4 },
        ...{ activation: (z) => z / (1 + Math.exp(-z)), estimator: dense() },
      },
      ...{ tokens: 24, gate: normals, up: normals, down: normals, inputs: normals, comparison: "rounded" },
    };
    const compiled = compileShardedFfn(ffnCase, { count: 3, layout, slack: 1.25 }, PROFILE);
    const { layer, data } = compiled;
    const { rows, inputs, outputs, dtype } = layer;
    const matrix = (bytes: Uint8Array) => ({ rows, inputs, dtype, bytes });
    const [gate, up] = [matrix(data.gate!.bytes), matrix(data.up.bytes)];
    const down = { rows: outputs, inputs: rows, dtype, bytes: data.down.bytes };
    const exact = await exactLayer(layer, { scored: gate, ffn: { gate, up, down } }, data.x, plainProduct, () => true);
    const { keep } = layer.sharding!;
    const measured = selectOverShards(exact, { count: 3, layout }, layer.k);
    const [recall, { error, missed }] = [measured.recall(layer.k, keep), measured.errors(keep)];

    const loader = referenceLoader.bind(undefined, compiled.plan);
    const results = await runShards(compiled, loader, (shard) => shard.run(data.x));
    const one = compileFfn(ffnCase, PROFILE);
    const { output: whole } = await (await createReferenceFfn(LAYER, one.layer, one.weights)).run(data.x);
    for (let token = 0; token < ffnCase.tokens; token++) {
      const groups = results.flatMap(({ groups }) => [...rowOf(groups, groups.length / ffnCase.tokens, token)]);
      const best = [...exact.best[token]!];
      expect(recall[token]).toBeCloseTo(best.filter((group) => groups.includes(group)).length / best.length, 10);
      const wanted = rowOf(whole, outputs, token);
      const own = rowOf(results[0]!.output, outputs, token);
      const norm = Math.hypot(...wanted);
      expect(error[token]).toBeCloseTo(Math.hypot(...wanted.map((value, i) => value - own[i]!)) / norm, 4);
      if (recall[token] === 1) expect(missed[token]).toBe(0);
      else expect(missed[token]).toBeGreaterThan(0);
    }
    expect(Math.min(...recall)).toBeLessThan(1);
  });
});

describe("a head whose rows", () => {
  const [ROWS, INPUTS, TOKENS, K] = [1024, 24, 600, 16];
  /** @param size of a row, by its number. */
  const calibrated = async (size: (row: number) => number, shards: ShardOptions) => {
    const built = softmax({
      ...{ inputs: INPUTS, rows: ROWS, dtype: "f32", weight: "w", estimator: quantized({ bits: 8 }), k: K },
      ...{ candidates: 64, shards },
    });
    const layer = check({ model: defineModel("m", { head: built }), sites: [] }).layers[0]!;
    const random = mulberry32(9);
    const fill = each((row) => size(row) * normal(random));
    const values = filled(fill, ROWS, INPUTS, random);
    const x = filled(normals, TOKENS, INPUTS, random);
    const scored = { rows: ROWS, inputs: INPUTS, dtype: "f32" as const, bytes: new Uint8Array(values.buffer) };
    const exact = await exactLayer(tile(layer), { scored }, x, plainProduct, () => false);
    const measured = calibrateShards(layer, layer.shards!, gridOf(layer, { candidates: [64] }), exact, TOKENS / 2);
    const [proposal] = proposeForShards([{ layer, measured }]);
    return { layer, measured, proposal: proposal! };
  };
  const asked = { count: 4, slack: { recall: 0.98 }, exchange: { resend: 0.05 } };
  const byForm = {
    keep: smallestKeep({ rows: ROWS, count: 4 }, 64, 0.98),
    sent: smallestSent({ rows: ROWS, count: 4 }, K, 0.05),
  };

  test("lie at random is measured as the closed forms predict", async () => {
    const { measured, proposal } = await calibrated(() => 1, asked);
    expect(measured.current).toEqual({ selected: 64, ...byForm });
    for (const { predicted, calibration, heldOut } of measured.slacks) {
      for (const { recall } of [calibration, heldOut]) expect(Math.abs(recall.mean - predicted)).toBeLessThan(0.01);
    }
    for (const { predicted, calibration } of measured.exchanges!) {
      expect(Math.abs(calibration - predicted)).toBeLessThan(0.09);
    }
    expect(Math.abs(proposal.sent! - byForm.sent)).toBeLessThanOrEqual(1);
    expect(proposal.keep! / byForm.keep).toBeLessThan(1.2);
  });

  test("are sorted by frequency, in ranges, needs more slack than the closed form says, and more rows sent", async () => {
    const { layer, measured, proposal } = await calibrated((row) => 1 / (1 + row / 64), {
      ...asked,
      layout: "contiguous",
    });
    expect(layer.shards).toMatchObject(byForm);
    const current = measured.slacks.find(({ keep }) => keep === byForm.keep)!;
    expect(current.predicted).toBeGreaterThan(0.98);
    expect(current.heldOut.recall.mean).toBeLessThan(0.6);
    expect(proposal.keep).toBeGreaterThan(2 * byForm.keep);
    expect(proposal.sent).toBeGreaterThan(byForm.sent);
    expect(proposal.change).toMatchObject({ slack: expect.any(Number), exchange: proposal.sent });
    // What is proposed does reach what was asked for.
    const found = measured.slacks.find(({ keep }) => keep === proposal.keep)!;
    expect(Math.min(found.calibration.recall.mean, found.bound)).toBeGreaterThanOrEqual(0.98);
  });

  test("are sorted by frequency and interleaved needs no more", async () => {
    const { proposal } = await calibrated((row) => 1 / (1 + row / 64), asked);
    expect(proposal.keep! / byForm.keep).toBeLessThan(1.2);
    expect(proposal.sent! - byForm.sent).toBeLessThanOrEqual(1);
  });

  test("are written by one call with those of another layer get what is enough for both", async () => {
    const [even, sorted] = await Promise.all([
      calibrated(() => 1, { ...asked, layout: "contiguous" }),
      calibrated((row) => 1 / (1 + row / 64), { ...asked, layout: "contiguous" }),
    ]);
    const both = proposeForShards([even, sorted]);
    expect(both.map(({ change }) => change)).toEqual([sorted.proposal.change, sorted.proposal.change]);
    expect(even.proposal.keep).toBeLessThan(both[0]!.keep!);
  });

  test("are told of in tables that mark what is proposed and what the spec says", async () => {
    const { measured, proposal } = await calibrated((row) => 1 / (1 + row / 64), { ...asked, layout: "contiguous" });
    const textOf = (shards: ShardCalibration) =>
      formatShards({ kind: "softmax", k: K, shards } as LayerCalibration).join("\n");
    const text = textOf({ ...measured, proposal });
    expect(text).toContain("4 shards, contiguous: slack for 98.00 % of the 64 candidates");
    expect(text).toContain("a second exchange on at most 5.00 % of the tokens");
    const marked = (mark: string) =>
      text.match(new RegExp(`^ +${mark} .*\\d.*$`, "gm"))!.map((row) => row.trim().split(/ +/));
    const { slack, exchange } = proposal.change;
    const [current] = measured.slacks.filter(({ keep }) => keep === byForm.keep);
    expect(marked(">").map((cells) => cells.slice(1, 3))).toMatchObject([
      [String(slack), String(proposal.keep)],
      [String(exchange), expect.anything()],
      ["proposed:", "slack:"],
    ]);
    expect(marked("=").map((cells) => cells.slice(1, 3))).toMatchObject([
      [String(current!.slack), String(byForm.keep)],
      [String(byForm.sent), expect.anything()],
    ]);
    expect(text).toContain(`> proposed: slack: ${slack}, exchange: ${exchange}, = what the spec says`);
    expect(textOf({ ...measured, proposal: { ...proposal, change: {} } })).toContain("what the spec says already");
  });

  test("get no slack where none that is tried suffices", async () => {
    const { layer, measured } = await calibrated((row) => 1 / (1 + row / 64), { ...asked, layout: "contiguous" });
    const short = { ...measured, slacks: measured.slacks.filter(({ slack }) => slack < 2) };
    const [proposal] = proposeForShards([{ layer, measured: short }]);
    expect(proposal).not.toHaveProperty("keep");
    expect(proposal!.change).not.toHaveProperty("slack");
  });
});
