// The bench packs on the GPU, in Python: its packs are those of hirec's packer, byte for byte.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileModel } from "../../compiler/index.ts";
import { defineModel, dense, type Estimator, ffn, type Layer, lowRank, quantized, softmax } from "../../dsl/index.ts";
import { packWeights, weightTensors } from "../../runtime/pack/weight-tensors.ts";
import { encode } from "../cases/dtypes.ts";
import { mulberry32 } from "../cases/random.ts";
import { runPython, whyNoPython } from "../torch/python.ts";

const why = await whyNoPython("torch", "safetensors");

const TOKENS = 64;

const head = (inputs: number, rows: number, estimator: Estimator): Layer =>
  softmax({ inputs, rows, weight: "weight", estimator, k: 4 });
const feedForward = (inputs: number, hidden: number, estimator: Estimator): Layer =>
  ffn({
    ...{ inputs, outputs: 40, hidden, weights: { gate: "gate", up: "up", down: "down" } },
    ...{ activation: (z) => Math.max(z, 0), estimator, k: 2, crossover: "ignore" },
  });

/** Widths that are no multiple of a group, a step or a chunk, and rows that fill no bucket. */
const layers: Readonly<Record<string, Layer>> = {
  int4: head(150, 333, quantized({ bits: 4, group: 32 })),
  int4_wide: head(256, 1000, quantized({ bits: 4, group: 128 })),
  int4_row: head(70, 90, quantized({ bits: 4, group: "row" })),
  int8: head(150, 333, quantized({ bits: 8, group: 128 })),
  int8_row: head(70, 90, quantized({ bits: 8, group: "row" })),
  dense: head(70, 333, dense()),
  rank: head(48, 300, lowRank({ rank: 12, bits: 8 })),
  rank_activations: head(48, 300, lowRank({ rank: 33, bits: 8, basis: "activations" })),
  rank_int4: head(48, 300, lowRank({ rank: 16, bits: 4, basis: "activations" })),
  ffn: feedForward(70, 136, quantized({ bits: 4, group: 32 })),
  ffn_int8: feedForward(64, 130, quantized({ bits: 8, group: 64 })),
  ffn_rank: feedForward(48, 136, lowRank({ rank: 16, bits: 8, basis: "activations" })),
  ffn_dense: feedForward(70, 136, dense()),
};

describe.skipIf(why)(`packs of the bench${why ? `, skipped: ${why}` : ""}`, () => {
  let folder: string;
  let differences: Readonly<Record<string, readonly string[]>>;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "hirec-bench-packing-"));
    const { plan } = compileModel(defineModel("packing", layers), { targets: ["cuda"] });
    await writeFile(join(folder, "plan.json"), JSON.stringify(plan));
    const random = mulberry32(1);
    const numbers = (count: number) => Float32Array.from({ length: count }, () => random() - 0.5);
    for (const [name, layer] of Object.entries(plan.layers)) {
      const own = join(folder, name);
      await mkdir(own);
      const tensors = weightTensors(layer).map(({ role, shape }) => {
        const values = numbers(shape.reduce((a, b) => a * b));
        // A row of zeros, and one that is far smaller than the others.
        values.fill(0, 0, shape[1]);
        const tiny = values.subarray(shape[1]! * 2, shape[1]! * 3);
        tiny.set(tiny.map((value) => value * 1e-38));
        return [role, encode(values, layer.dtype)] as const;
      });
      // Inputs whose second moments differ, or their eigenvectors would be anybody's.
      const activations = numbers(TOKENS * layer.inputs).map((value, i) => value * (1 + (i % layer.inputs)));
      const packed = packWeights(layer, Object.fromEntries(tensors), undefined, ofLowRank(layer, activations));
      await writeFile(join(own, "activations"), activations);
      for (const [role, bytes] of tensors) await writeFile(join(own, `weights.${role}`), bytes);
      for (const { role, data } of packed) await writeFile(join(own, `packed.${role}`), data);
    }
    differences = JSON.parse(await runPython("../bench/check_packing.py", [folder], { torch: "real" }));
  }, 120_000);
  afterAll(() => rm(folder, { recursive: true }));

  test.each(Object.keys(layers))("%s", (name) => {
    expect(differences).toHaveProperty(name);
    expect(differences[name]).toEqual([]);
  });
});

/** The bench weighs no codes by inputs, as `hirec pack --activations` would. */
function ofLowRank({ estimator }: { readonly estimator: { readonly kind: string } }, activations: Float32Array) {
  return estimator.kind === "lowRank" ? activations : undefined;
}
