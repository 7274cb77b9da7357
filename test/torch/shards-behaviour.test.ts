// What an emitted package does over shards besides computing layers, as shards_behaviour.py holds it on every rank.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileModel } from "../../compiler/index.ts";
import { defineModel, ffn, multinomial, quantized, softmax } from "../../dsl/index.ts";
import { packWeights, weightTensors } from "../../runtime/pack/weight-tensors.ts";
import { shardPlan } from "../../runtime/shard-plan.ts";
import { encode } from "../cases/dtypes.ts";
import { mulberry32 } from "../cases/random.ts";
import { whyNoCompiler } from "../cuda-host/build.ts";
import { buildLibraries, packBytes, writeFiles } from "./build.ts";
import { runPython, type Torch, whyNoPython } from "./python.ts";

const script = await readFile(fileURLToPath(new URL("shards_behaviour.py", import.meta.url)), "utf8");
const functions = [...script.matchAll(/^def ((?:real_)?test_\w+)/gm)].map(([, name]) => name!);

const compilerMissing = await whyNoCompiler();
const missing: Readonly<Record<Torch, string | undefined>> = {
  fake: compilerMissing ?? (await whyNoPython("numpy")),
  real: compilerMissing ?? (await whyNoPython("numpy", "torch.distributed", "safetensors")),
};

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
      const random = mulberry32(1);
      const weights = Object.fromEntries(
        Object.entries(plan.layers).map(([name, layer]) => {
          const bytes = weightTensors(layer).map(({ role, shape }) => {
            const numbers = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random() - 0.5);
            return [role, encode(numbers, layer.dtype)] as const;
          });
          return [name, Object.fromEntries(bytes)];
        }),
      );
      for (let shard = 0; shard < shards; shard++) {
        const own = shardPlan(plan, shard);
        const tensors = Object.entries(own.layers).flatMap(([name, layer]) => packWeights(layer, weights[name]!));
        const source = ({ name }: { readonly name: string }) => tensors.find((each) => each.name === name)!.data;
        await writeFile(join(folder, `pack.${shard}-of-${shards}`), await packBytes(own, source));
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

    test.each(functions.filter((name) => torch === "real" || name.startsWith("test_")))("%s", (name) => {
      for (const results of ranks) {
        expect(results).toHaveProperty(name);
        expect(results[name]).toBeNull();
      }
    });
  });
});
