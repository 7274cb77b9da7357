// Scores and what they select, in one kernel.

import { codeFormat, levelShift } from "../../runtime/pack/code-format.ts";
import type { BindingPlan, KernelPlan, ScoredPlan } from "../../runtime/plan.ts";
import { budgetOf } from "../profiles.ts";
import { scoredView } from "../scored-view.ts";
import { spansOf, usesTensorCores } from "../tensor-cores.ts";
import {
  biasBinding,
  binding,
  hasTail,
  hasTokenScale,
  maskBinding,
  scoredBindings,
  scoredInput,
  scoreQuads,
  survivorsBinding,
  tokenChunks,
  tokenCodes,
  tokenNorms,
} from "./buffers.ts";
import { certificateConstants } from "./certificate.ts";
import { groupConstants, groupScore } from "./groups.ts";
import {
  alignedBytes,
  array,
  type Context,
  dtypeChoices,
  finishing,
  kernel,
  MULTIPROCESSORS,
  made,
  type WorkgroupVariable,
} from "./kernel.ts";
import { meetingsBinding, rescoreParts } from "./rescore-parts.ts";
import { bucketSlices, launchesOf } from "./slices.ts";

/** Share of mean and deviation by which a threshold is lowered, so that no rounding drops rows that are all alike. */
const THRESHOLD_MARGIN = 2 ** -12;

/** Rows that a warp keeps in registers, one to a lane. */
const LANES_PER_WARP = 32;

/** Bytes of its weights that a block asks for before it does anything else: all blocks' together fit into the cache. */
const FIRST_BYTES = 32 * 1024;
const LINE_BYTES = 128;

/** Splits of a row beyond which a thread has too little to do between two barriers. */
const MOST_SPLITS = 8;

export function scheduleScoreSelect(context: Context): KernelPlan {
  const { profile, quantizedBefore, tuning } = context;
  const layer = scoredView(context.layer);
  const { batch, inputs, estimator, selection, tiling, group } = layer;
  const quantized = estimator.kind === "quantized";
  const format = quantized ? codeFormat(estimator.bits) : undefined;
  const int8 = quantized && estimator.activations === "int8";
  const quantizesHere = int8 && !quantizedBefore;
  const tensorCores = usesTensorCores(layer, profile);
  const spans = spansOf(layer);
  const bounded = quantized && layer.certificate !== undefined;
  const normsHere = bounded && (quantizesHere || !int8);

  const tail = hasTail(layer);
  const statistical = selection.kind === "statistical";
  const cuda = profile.target === "cuda";
  const variables: WorkgroupVariable[] = [];
  // In CUDA all tokens of a tile are selected from between the same two barriers.
  if (cuda || group || !statistical) variables.push(array("tile_keys", "u32", tiling.lanes * (cuda ? batch : 1), 4));
  if (statistical) {
    variables.push(array("moments", "vec2<f32>", tiling.lanes, 8), array("above", "atomic<u32>", tiling.lanes / 32, 4));
  }
  if (tail && (statistical || !cuda)) variables.push(array("sums", "vec2<u32>", tiling.lanes, 8));
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
  let splits = cuda && !statistical ? splitsOf(layer, tensorCores, tuning?.splits) : 1;
  while (splits > 1 && !place("parts", int8 ? "i32" : "f32", splits * batch * tiling.lanes, 4)) splits /= 2;
  const lanes = tiling.lanes * splits;
  if (normsHere) {
    if (int8) place("squares", "atomic<u32>", 2 * batch, 4);
    else place("squares", "f32", lanes, 4);
    place("token_norms", "vec2<f32>", batch, 8);
  }
  // Beside the scores of a large batch, registers of a CUDA thread would not do for its tails.
  const manyTails = tail && cuda && statistical && batch > 4;
  const tailsInWorkgroup = manyTails && place("tails", "vec2<u32>", batch * tiling.lanes, 8);
  // Where tokens are read from device memory, or are f32, a large batch leaves no registers for them.
  const mostInRegisters = quantizesHere || tensorCores ? batch : int8 ? 8 : 4;
  const keptInRegisters = cuda && !statistical && selection.keep <= LANES_PER_WARP && batch <= mostInRegisters;
  const keptInWorkgroup = !keptInRegisters && place("kept", "vec2<u32>", batch * selection.keep, 8);
  const staged = !int8 && place("staged", "vec4<f32>", batch * scoreQuads(layer), 16);

  const bindings: BindingPlan[] = [];
  if (int8 && quantizedBefore) bindings.push(tokenCodes(layer, profile), ...(bounded ? [tokenNorms(layer)] : []));
  else bindings.push(scoredInput(context.layer));
  bindings.push(...scoredBindings(layer));
  if (layer.bias !== undefined) bindings.push(biasBinding(layer));
  if (layer.mask) bindings.push(maskBinding(layer));
  bindings.push(survivorsBinding(layer, "read_write"));
  const opensMeetings = rescoreParts(context.layer, profile, tuning?.rescoreParts) > 1;
  if (opensMeetings) bindings.push(meetingsBinding(layer));
  const launches = launchesOf(bucketSlices(layer, profile), (buckets) => [buckets, 1, 1]);
  const sliced = launches.length > 1;
  if (sliced) bindings.push(binding("first_bucket", "uniform", "u32", "of the slice of this launch"));

  const score = group && groupScore(group);
  const finish = tail ? finishing(layer) : undefined;
  return kernel(context, {
    stem: "score_select",
    workgroupSize: lanes,
    ...(cuda && {
      residentThreads: tuning?.residentThreads ?? residentThreads(layer, quantizesHere || staged, tensorCores),
    }),
    launches,
    bindings,
    variables,
    constants: {
      LANES: tiling.lanes,
      ...(splits > 1 && { SPLITS: splits }),
      BATCH: batch,
      INPUTS: inputs,
      ROWS: layer.rows,
      ...(layer.kind === "ffn" && {
        ...groupConstants(layer),
        GROUPS_PER_TILE: Math.floor(tiling.lanes / layer.group.size),
        COMMON: layer.group.common,
      }),
      BUCKETS: selection.buckets,
      TILES: tiling.tiles,
      STEPS: tiling.steps,
      ...(cuda && { FIRST_LINES: firstLines(layer) }),
      KEEP: selection.keep,
      KEEP_PER_LANE: Math.ceil(selection.keep / tiling.lanes),
      ...(format &&
        format.main < 8 && {
          LEVEL_SHIFT: levelShift(format.bits),
          ...(format.low > 0 && { LOW_SHIFT: 8 - format.main - format.low }),
        }),
      ...(selection.quantile !== undefined && { QUANTILE: selection.quantile, MARGIN: THRESHOLD_MARGIN }),
      ...(bounded && certificateConstants(layer)),
      ...(int8 ? { CHUNKS: tokenChunks(layer) } : { QUADS: scoreQuads(layer) }),
      ...finish?.constants,
      ...(quantized &&
        estimator.groups > 1 && {
          GROUPS: estimator.groups,
          SCALE_WORDS: Math.ceil(estimator.groups / 4),
          STEPS_PER_GROUP: tiling.steps / estimator.groups,
        }),
      ...(tensorCores && { ROUND_SPANS: spans.perRound }),
    },
    choices: {
      inGroups: group !== undefined,
      // A function of the score needs it as it is; any other order is the same in units of the token's scale.
      tokenScale: int8 && score?.choices.scoreFunction === true,
      ...(score?.choices ?? { scoreFunction: false }),
      sliced,
      int8,
      quantizesHere,
      bounded,
      normsHere,
      keptInWorkgroup,
      staged,
      guarded: !int8 && inputs < scoreQuads(layer) * 4,
      dense: !quantized,
      bytes: quantized && estimator.bits === 8,
      planes: format !== undefined && format.main < 8,
      main4: format?.main === 4,
      low1: format?.low === 1,
      low2: format?.low === 2,
      odd: format?.odd === true,
      grouped: quantized && estimator.groups > 1,
      wholeWords: quantized && estimator.groups % 4 === 0,
      ...made({
        biased: layer.bias !== undefined,
        masked: layer.mask,
        statistical,
        tokenScale: hasTokenScale(layer),
        tail,
        tailsInWorkgroup,
        ...finish?.choices,
        keptInRegisters,
        split: splits > 1,
        opensMeetings,
        tensorCores,
        wholeBlocks: tensorCores && batch % 8 === 0,
        wholeRounds: tensorCores && spans.count % spans.perRound === 0,
        keysMeetAgain: cuda && splits === 1 && tiling.tiles > 1,
      }),
      ...dtypeChoices(layer),
    },
    ...(score && { functions: score.functions }),
    ...(finish?.functions && { functions: finish.functions }),
  });
}

function firstLines({ tensors, selection, tiling }: ScoredPlan): number {
  const { bytes } = tensors.find(({ role }) => role === "codes" || role === "weights")!;
  const tileBytes = bytes / (selection.buckets * tiling.tiles);
  return Math.floor(Math.min(FIRST_BYTES, tileBytes) / LINE_BYTES);
}

/**
 * Threads that share a row in CUDA: as many as it takes for all multiprocessors to be full, since it takes that many loads
 * in flight to keep the memory busy. A split is a whole number of the words that hold scales, or of rounds.
 * @param wanted instead, if there is as much to share.
 */
function splitsOf(layer: ScoredPlan, tensorCores: boolean, wanted?: number): number {
  const { estimator, selection, tiling } = layer;
  const threads = selection.buckets * tiling.lanes;
  const isGrouped = estimator.kind === "quantized" && estimator.groups > 1;
  const parts = tensorCores ? spansOf(layer).rounds : isGrouped ? Math.ceil(estimator.groups / 4) : tiling.steps;
  if (wanted !== undefined) return Math.min(wanted, MOST_SPLITS, parts);
  const most = MULTIPROCESSORS * residentThreads(layer, true, tensorCores);
  let splits = 1;
  while (splits * 2 <= Math.min(MOST_SPLITS, parts) && threads * splits * 2 <= most) splits *= 2;
  return splits;
}

/**
 * A thread has 128 registers then, or 255 where sums of exp are carried along or, without tensor cores, tokens are read from
 * device memory or a batch is larger than 8: with fewer, some of the kernels spill. To be measured on a GPU.
 */
function residentThreads(layer: ScoredPlan, tokensAreShared: boolean, tensorCores: boolean): number {
  const fewRegisters = tensorCores || (tokensAreShared && layer.batch <= 8);
  return fewRegisters && !hasTail(layer) ? 512 : 256;
}
