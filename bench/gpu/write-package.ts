// What a GPU machine needs to run the bench: the emitted package for PyTorch, and a manifest that says what its layers are.
// Weights are drawn and packed there, so that the folder stays small.

import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { compileModel } from "hirec/compiler";
import { readsOf } from "../../compiler/reads.ts";
import { type Bench, layersOf, modelOf } from "./layers.ts";

/** Raised whenever bench.py could misread a manifest written before. */
const MANIFEST_FORMAT = 1;

/**
 * Compiles the layers and writes `torch/` and `manifest.json`; what was in the folder is removed.
 * @param commit what the results are of.
 * @returns the number of layers, and the compiled model.
 */
export async function writePackage(folder: string, bench: Bench, commit: string) {
  const { plan, files } = compileModel(modelOf(bench), { targets: ["torch"] });
  const { layers: programs } = plan.programs.find(({ target }) => target === "cuda")!;
  const layers = layersOf(bench).map(({ name, of, estimator, batch }) => {
    const layer = plan.layers[name]!;
    const { score, rescore, total, dense } = readsOf(layer, batch);
    const scoring = programs[name]!.kernels.filter(({ stages }) => stages.includes("score"));
    return {
      ...{ name, of, estimator, batch, plan: layer },
      reads: { score, exact: rescore, total, dense },
      scoreKernels: scoring.map((kernel) => kernel.name),
      isDensePath: layer.crossover?.taken ?? false,
    };
  });
  const decode = { name: "decode", kind: "decode", title: "decode of a model of 1B shape", ...bench.decode };
  const bars = { scoreOfBandwidth: bench.scoreOfBandwidth };
  const manifest = { format: MANIFEST_FORMAT, commit, shapes: [...bench.shapes, decode], bars, layers };
  await rm(folder, { recursive: true, force: true });
  for (const [file, text] of files) {
    if (!file.startsWith("torch/")) continue;
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), text);
  }
  await writeFile(join(folder, "manifest.json"), `${JSON.stringify(manifest)}\n`);
  return { layers: layers.length, plan, files };
}
