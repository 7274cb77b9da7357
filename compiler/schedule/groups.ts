// The shapes and constants of groups of neurons that several kernels share.

import type { FfnPlan, GroupPlan } from "../../runtime/plan.ts";
import type { ScalarFunction } from "../../runtime/scalar.ts";
import { wholeChunks } from "../padding.ts";

/** Extents of what a gathering kernel reads and writes. */
export function gatherShape({ inputs, outputs, dtype, gated, candidates, group }: FfnPlan) {
  const quadsPerChunk = dtype === "f32" ? 1 : 2;
  const chunks = (elements: number) => wholeChunks(elements, dtype) / (4 * quadsPerChunk);
  const [inputChunks, outputChunks] = [chunks(inputs), chunks(outputs)];
  return {
    quadsPerChunk,
    inputChunks,
    outputChunks,
    bundleChunks: (gated ? 2 : 1) * inputChunks + outputChunks,
    outputQuads: outputChunks * quadsPerChunk,
    /** Parts of the result that a token keeps apart until they are added up. */
    slots: candidates + group.common,
  };
}

export function groupConstants({ group }: FfnPlan) {
  return { GROUP_COUNT: group.count, GROUP_SIZE: group.size };
}

/** How a kernel orders groups. */
export function groupScore({ score }: GroupPlan): {
  readonly choices: Readonly<Record<"scoreMax" | "scoreSum" | "scoreSquares" | "scoreFunction", boolean>>;
  readonly functions: Readonly<Record<string, ScalarFunction>>;
} {
  return {
    choices: {
      scoreMax: score === "max",
      scoreSum: score === "sum",
      scoreSquares: score === "l2",
      scoreFunction: typeof score !== "string",
    },
    functions: typeof score === "string" ? {} : { neuron_score: score },
  };
}
