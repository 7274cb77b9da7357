// What a layer is calibrated with: its weights and the tokens that were recorded, both checked.

import { HireError } from "../../runtime/errors.ts";
import { readActivations } from "../../runtime/node/activations-file.ts";
import type { SafetensorsFile } from "../../runtime/node/safetensors-file.ts";
import type { LayerPlan } from "../../runtime/plan.ts";
import { tokensFor } from "./bound.ts";
import type { Target } from "./result.ts";
import { type SplitTokens, splitTokens } from "./split.ts";

/** Fewer held-out tokens say nothing, whatever they show. */
const FEWEST_HELD_OUT = 16;

/**
 * Recorded inputs of a layer, in two parts.
 * @throws HireError HIRE-PACK-011 when they do not fit the layer, HIRE-CAL-002 when they are too few to show that the target
 * is reached, HIRE-CAL-003 when they are all equal.
 */
export async function readTokens(
  layer: string,
  plan: LayerPlan,
  files: readonly SafetensorsFile[],
  { target, seed, most }: { readonly target: Target; readonly seed: number; readonly most: number },
): Promise<SplitTokens> {
  const recorded = (await readActivations(layer, plan, files))!;
  const split = splitTokens(recorded, plan.inputs, seed, most);
  const { counts } = split;
  if (counts.distinct === 1 && counts.recorded > 1) {
    throw new HireError({
      code: "HIRE-CAL-003",
      message: `All ${counts.recorded} recorded inputs of layer "${layer}" are equal`,
      fix: "Record the inputs of a text, one per token; a hook that keeps a reference to a buffer records its last content",
    });
  }
  const needed = Math.max(FEWEST_HELD_OUT, tokensFor(target, plan.k));
  if (counts.heldOut < needed) {
    const share = `${target.measure} ${target.value}`;
    const [have, limit] = [`${counts.distinct} different inputs of layer "${layer}"`, most < counts.distinct];
    throw new HireError({
      code: "HIRE-CAL-002",
      message: `${limit ? `${most} of ` : ""}${have} cannot show ${share}: half of them is held out, and that takes ${needed}`,
      fix: `${limit ? "Raise --tokens to" : "Record"} at least ${2 * needed} different tokens, or lower the target`,
    });
  }
  return split;
}
