// What an emitted package does over shards besides computing layers, as shards_behaviour.py holds it on every rank.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileModel } from "../../compiler/index.ts";
import { defineModel, ffn, multinomial, quantized, softmax } from "../../dsl/index.ts";
import { shardPlan } from "../../runtime/shard-plan.ts";
import { functionsOf, packedOf, randomWeights } from "./behaviours.ts";
import { buildLibraries, packBytes, whyNoPackages, writeFiles } from "./build.ts";
import { runPython } from "./python.ts";

const functions = await functionsOf("shards_behaviour.py");

const missing = await whyNoPackages();

const estimator = quantized({ bits: 4, group: 32 });
const [inputs, batch, shards] = [32, 2, 2];

const model = defineModel("spread-lm", {
  head: softmax({
    inputs,
    rows: 300,
    weight: "lm_head.weight",
    estimator,
    k: 5,
    candidates: 20,
    batch,
    shards,
    certify: "fallback",
  }),
  mlp0: ffn({
    ...{
      inputs,
      hidden: 64,
      weights: { gate: "mlp.gate_proj.weight", up: "mlp.up_proj.weight", down: "mlp.down_proj.weight" },
    },
    ...{ activation: (z) => Math.max(z, 0), estimator, k: 3, batch, crossover: "ignore", shards },
  }),
  draft: softmax({
    ...{ inputs, rows: 77, weight: "draft.weight", estimator, k: 4, batch, shards: { count: 2, layout: "contiguous" } },
    ...{ mask: true, sample: multinomial() },
  }),
  lone: softmax({ inputs, rows: 1, weight: "lone.weight", estimator, k: 1, batch, shards }),
  tail: softmax({ inputs, rows: 50, weight: "tail.weight", estimator, k: 3, batch }),
});

describe.each(["fake", "real"] as const)("with a %s torch", (torch) => {
  const why = missing[torch];
  describe.skipIf(why)(`an emitted package over shards${why ? `, skipped: ${why}` : ""}`, () => {
    let folder: string;
    let ranks: readonly Readonly<Record<string, string | null>>[];

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "hirec-torch-shards-behaviour-"));
      const { plan, files } = compileModel(model, { targets: ["torch"] });
      await writeFiles(folder, files);
      const weights = randomWeights(plan);
      for (let shard = 0; shard < shards; shard++) {
        const own = shardPlan(plan, shard);
        await writeFile(join(folder, `pack.${shard}-of-${shards}`), await packBytes(own, packedOf(own, weights)));
      }
      const libraries = await buildLibraries(plan, files);
      const env = { XDG_CACHE_HOME: join(folder, "cache") };
      const paths = [folder, join(folder, "pack"), join(folder, "store")];
      const said = await Promise.all(
        [0, 1, 2, 3].map((rank) =>
          runPython("shards_behaviour.py", [...paths, String(rank)], { libraries, torch, env }),
        ),
      );
      ranks = said.map((text) => JSON.parse(text));
    }, 300_000);
    afterAll(() => rm(folder, { recursive: true }));

    test.each(functions[torch])("%s", (name) => {
      for (const results of ranks) {
        expect(results).toHaveProperty(name);
        expect(results[name]).toBeNull();
      }
    });
  });
});
