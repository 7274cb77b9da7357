// The exact scores of all rows for the tokens that are not certified, and of every block of rows the k best.

import type { KernelPlan } from "../../runtime/plan.ts";
import { exactStride } from "../padding.ts";
import { binding, exactBinding, inputBinding, maskBinding } from "./buffers.ts";
import { BLOCK_ROWS, blocksOf, exactSurvivors, failedBinding } from "./certificate.ts";
import { array, type Context, dtypeChoices, kernel, made, variable } from "./kernel.ts";
import { RESCORE_LANES, rowTeams } from "./rescore-topk.ts";
import { launchesOf, rowSlices } from "./slices.ts";

export function scheduleFallbackScore(context: Context): KernelPlan {
  const { layer, profile } = context;
  const { batch, inputs } = layer;
  const cuda = profile.target === "cuda";
  const { subgroups, lanesPerRow } = rowTeams(context);
  const { perSlice, keep } = blocksOf(layer, profile);
  const slices = rowSlices(layer, profile);
  const launches = launchesOf(slices, () => [perSlice, batch, 1]);
  const sliced = launches.length > 1;
  const rowQuads = exactStride(layer) / 4;
  return kernel(context, {
    stem: "fallback_score",
    workgroupSize: RESCORE_LANES,
    launches: cuda ? launches : launches.map((launch) => ({ ...launch, indirect: 12 })),
    bindings: [
      failedBinding(layer, "read"),
      inputBinding(layer),
      exactBinding(layer),
      ...(layer.mask ? [maskBinding(layer)] : []),
      exactSurvivors(layer, profile).binding,
      ...(sliced ? [binding("first_row", "uniform", "u32", "of the slice of this launch")] : []),
    ],
    variables: [
      array("keys", "u32", BLOCK_ROWS, 4),
      ...(subgroups ? [variable("teams_counted", "atomic<u32>", 4)] : []),
      ...(subgroups || cuda ? [] : [array("partial", "f32", RESCORE_LANES, 4)]),
    ],
    constants: {
      LANES: RESCORE_LANES,
      BLOCK_ROWS,
      ROWS: layer.rows,
      BLOCKS: launches.length * perSlice,
      KEEP: keep,
      ...(sliced && { SLICE_ROWS: slices.each, SLICE_BLOCKS: perSlice }),
      INPUTS: inputs,
      CHUNKS: rowQuads / (layer.dtype === "f32" ? 1 : 2),
      ...(!subgroups && { LANES_PER_ROW: lanesPerRow, TEAMS: RESCORE_LANES / lanesPerRow }),
    },
    choices: {
      sliced,
      subgroups,
      guarded: inputs < rowQuads * 4,
      ...dtypeChoices(layer),
      ...made({ masked: layer.mask }),
    },
  });
}
