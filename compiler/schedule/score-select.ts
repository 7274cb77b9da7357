// Scores and what they select, in one kernel.

import type { BindingPlan, KernelPlan } from "../../runtime/plan.ts";
import { budgetOf } from "../profiles.ts";
import {
  biasBinding,
  binding,
  hasTail,
  hasTokenScale,
  inputBinding,
  largest,
  maskBinding,
  scoredBindings,
  scoreQuads,
  survivorsBinding,
  tokenChunks,
  tokenCodes,
} from "./buffers.ts";
import {
  alignedBytes,
  array,
  type Context,
  dtypeChoices,
  kernel,
  made,
  temperatureOf,
  type WorkgroupVariable,
} from "./kernel.ts";
import { bucketSlices, launchesOf } from "./slices.ts";

export function scheduleScoreSelect(context: Context): KernelPlan {
  const { layer, profile, quantizedBefore } = context;
  const { batch, inputs, estimator, selection, tiling } = layer;
  const quantized = estimator.kind === "quantized";
  const int8 = quantized && estimator.activations === "int8";
  const quantizesHere = int8 && !quantizedBefore;

  const tail = hasTail(layer);
  const variables: WorkgroupVariable[] = [array("tile_keys", "u32", tiling.lanes, 4)];
  if (tail) variables.push(array("sums", "vec2<u32>", tiling.lanes, 8));
  let free = budgetOf(profile).workgroupBytes - variables.reduce((sum, { bytes }) => sum + bytes, 0);
  /** Adds a variable when there is room for it, and says whether there was. */
  const place = (name: string, element: string, count: number, bytes: number): boolean => {
    const taken = alignedBytes(count * bytes);
    if (taken > free) return false;
    free -= taken;
    variables.push(array(name, element, count, bytes));
    return true;
  };
  if (quantizesHere) {
    place("largest", "atomic<u32>", batch, 4);
    place("token_codes", "vec4<u32>", batch * tokenChunks(layer), 16);
  }
  const keptInWorkgroup = place("kept", "vec2<u32>", batch * selection.keep, 8);
  const staged = !int8 && place("staged", "vec4<f32>", batch * scoreQuads(layer), 16);

  const bindings: BindingPlan[] = [];
  if (int8 && quantizedBefore)
    bindings.push({ ...tokenCodes(layer), access: "read" }, { ...largest(layer), access: "read" });
  else bindings.push(inputBinding(layer));
  bindings.push(...scoredBindings(layer));
  if (layer.bias !== undefined) bindings.push(biasBinding(layer));
  if (layer.mask) bindings.push(maskBinding(layer));
  bindings.push(survivorsBinding(layer, "read_write"));
  const launches = launchesOf(bucketSlices(layer, profile), (buckets) => [buckets, 1, 1]);
  const sliced = launches.length > 1;
  if (sliced) bindings.push(binding("first_bucket", "uniform", "u32", "of the slice of this launch"));

  return kernel(context, {
    stem: "score_select",
    workgroupSize: tiling.lanes,
    launches,
    bindings,
    variables,
    constants: {
      LANES: tiling.lanes,
      BATCH: batch,
      INPUTS: inputs,
      ROWS: layer.rows,
      BUCKETS: selection.buckets,
      TILES: tiling.tiles,
      STEPS: tiling.steps,
      KEEP: selection.keep,
      KEEP_PER_LANE: Math.ceil(selection.keep / tiling.lanes),
      ...(int8 ? { CHUNKS: tokenChunks(layer) } : { QUADS: scoreQuads(layer) }),
      ...(tail && temperatureOf(layer)),
      ...(quantized &&
        estimator.groups > 1 && {
          GROUPS: estimator.groups,
          SCALE_WORDS: Math.ceil(estimator.groups / 4),
          STEPS_PER_GROUP: tiling.steps / estimator.groups,
        }),
    },
    choices: {
      sliced,
      int8,
      quantizesHere,
      keptInWorkgroup,
      staged,
      guarded: !int8 && inputs < scoreQuads(layer) * 4,
      dense: !quantized,
      bits4: quantized && estimator.bits === 4,
      grouped: quantized && estimator.groups > 1,
      wholeWords: quantized && estimator.groups % 4 === 0,
      ...made({
        biased: layer.bias !== undefined,
        masked: layer.mask,
        tokenScale: hasTokenScale(layer),
        tail,
        finishes: tail && layer.temperature !== undefined,
      }),
      ...dtypeChoices(layer),
    },
  });
}
