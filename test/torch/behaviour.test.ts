// What an emitted package does besides computing layers, as behaviour.py holds it, one test for each of its functions.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileModel } from "../../compiler/index.ts";
import { defineModel, ffn, multinomial, quantized, softmax } from "../../dsl/index.ts";
import { packMetadata } from "../../runtime/pack/read-pack.ts";
import { functionsOf, packedOf, randomWeights } from "./behaviours.ts";
import { buildLibraries, packBytes, whyNoPackages, writeFiles } from "./build.ts";
import { runPython } from "./python.ts";

const functions = await functionsOf("behaviour.py");

const missing = await whyNoPackages();

const estimator = quantized({ bits: 4, group: 32 });
const of = (module: string) => `model.layers.0.mlp.${module}_proj.weight`;

const model = defineModel("small-lm", {
  head: softmax({
    inputs: 32,
    rows: 300,
    weight: "model.embed_tokens.weight",
    estimator,
    k: 5,
    candidates: 20,
    batch: 4,
  }),
  mlp0: ffn({
    ...{ inputs: 32, hidden: 64, weights: { gate: of("gate"), up: of("up"), down: of("down") } },
    ...{ activation: (z) => Math.max(z, 0), estimator, k: 3, batch: 3, crossover: "ignore" },
  }),
  draft: softmax({
    ...{ inputs: 32, rows: 77, weight: "draft.weight", estimator, k: 4, batch: 2 },
    ...{ mask: true, sample: multinomial(), logSumExp: true },
  }),
});

describe.each(["fake", "real"] as const)("with a %s torch", (torch) => {
  const why = missing[torch];
  describe.skipIf(why)(`an emitted package${why ? `, skipped: ${why}` : ""}`, () => {
    let folder: string;
    let results: Readonly<Record<string, string | null>>;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "hirec-torch-behaviour-"));
      const { plan, files } = compileModel(model, { targets: ["torch"] });
      await writeFiles(folder, files);
      const weights = packedOf(plan, randomWeights(plan));
      const packs = {
        pack: packMetadata(plan),
        foreign: { ...packMetadata(plan), hirec_model: "other", hirec_pack: "0" },
        old: { ...packMetadata(plan), hirec_format: "0" },
      };
      for (const [name, metadata] of Object.entries(packs)) {
        await writeFile(join(folder, name), await packBytes(plan, weights, metadata));
      }
      const libraries = await buildLibraries(plan, files);
      const paths = [folder, ...Object.keys(packs).map((name) => join(folder, name))];
      const env = { XDG_CACHE_HOME: join(folder, "cache") };
      results = JSON.parse(await runPython("behaviour.py", paths, { libraries, torch, env }));
    }, 300_000);
    afterAll(() => rm(folder, { recursive: true }));

    test.each(functions[torch])("%s", (name) => {
      expect(results).toHaveProperty(name);
      expect(results[name]).toBeNull();
    });
  });
});
