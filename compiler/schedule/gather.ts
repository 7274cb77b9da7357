// What the neurons of the candidate groups add to the result: one workgroup per group, or per place of one where those are
// fewer.

import type { BindingPlan, FfnPlan, KernelPlan, LaunchPlan } from "../../runtime/plan.ts";
import { evaluateScalar, type ScalarFunction } from "../../runtime/scalar.ts";
import { biasBinding, binding, chosenBinding, inputBinding } from "./buffers.ts";
import { gatherShape, groupConstants, groupScore } from "./groups.ts";
import { array, type Context, dtypeChoices, kernel, made } from "./kernel.ts";
import { groupSlices, launchesOf } from "./slices.ts";

/** Invocations of a gathering workgroup. */
const LANES = 256;

/** Rows of a group that are multiplied at a time; in CUDA each by a warp. */
const TEAMS = 8;
const LANES_PER_WARP = 32;

/** Warps of a block: with more, a thread of a large batch has no registers for the sums of its tokens. */
const mostWarps = (batch: number) => (batch > 8 ? 8 : 16);

/** Where an activation that gives exact zeros gives some: its weak side, and around the origin. */
const PROBES = [-8, -1, -0.125, 0.125];

export function scheduleGather(context: Context<FfnPlan>): KernelPlan {
  const { layer, profile, tuning } = context;
  const { batch, inputs, gated, group, activation } = layer;
  const shape = gatherShape(layer);
  const cuda = profile.target === "cuda";
  // Where no neuron is zero, there is nothing to wait for before up is read.
  const together = cuda && gated && !givesZeros(activation) ? 2 : 1;
  const rows = group.size * together;
  const teams = Math.min(cuda ? mostWarps(batch) : TEAMS, 2 ** Math.ceil(Math.log2(rows)));
  const lanes = cuda ? LANES_PER_WARP * teams : (tuning?.gatherLanes ?? LANES);
  const bySlot = cuda && batch * shape.slots < group.count;
  const launches: readonly LaunchPlan[] = bySlot
    ? [{ workgroups: [shape.slots, batch, 1] }]
    : launchesOf(groupSlices(layer, profile), (groups) => [groups, 1, 1]);
  const sliced = launches.length > 1;
  const upBiased = layer.biases?.up !== undefined;

  const { shape: bundles } = layer.tensors.find(({ role }) => role === "bundles")!;
  const bindings: BindingPlan[] = [
    inputBinding(layer),
    binding(
      "slots",
      "read",
      "array<u32>",
      `[${batch}, ${group.count}] where a token keeps a group, counted from 1; 0 nowhere`,
    ),
    binding(
      "bundles",
      "read",
      "array<vec4<u32>>",
      `[${bundles.join(", ")}] ${layer.dtype}: ${gated ? "gate, up" : "up"} and down row of each neuron`,
    ),
    chosenBinding(layer, "read_write"),
    binding(
      "partials",
      "read_write",
      "array<vec4<f32>>",
      `[${batch}, ${shape.slots}, ${shape.outputQuads}] what each group adds`,
    ),
  ];
  if (layer.bias !== undefined) bindings.push(biasBinding(layer));
  if (upBiased) {
    bindings.push(binding("up_bias", "read", "array<f32>", `[${layer.rows}] added to what up gives`));
  }
  if (sliced) bindings.push(binding("first_group", "uniform", "u32", "of the slice of this launch"));
  const score = groupScore(group);
  return kernel(context, {
    stem: "gather",
    workgroupSize: lanes,
    launches,
    bindings,
    variables: [
      array("dots", "f32", batch * rows, 4),
      array("hidden", "f32", batch * group.size, 4),
      array("working", "u32", group.size, 4),
      ...(cuda ? [] : [array("partial", "f32", lanes, 4)]),
    ],
    constants: {
      LANES: lanes,
      LANES_PER_ROW: lanes / teams,
      TEAMS: teams,
      ...(cuda && { DOT_ROWS: rows }),
      BATCH: batch,
      INPUTS: inputs,
      ROWS: layer.rows,
      ...groupConstants(layer),
      CANDIDATES: layer.candidates,
      SLOTS: shape.slots,
      CHUNKS: shape.inputChunks,
      OUTPUT_CHUNKS: shape.outputChunks,
      BUNDLE_CHUNKS: shape.bundleChunks,
      QUADS_PER_CHUNK: shape.quadsPerChunk,
    },
    choices: {
      gated,
      sliced,
      guarded: inputs < shape.inputChunks * shape.quadsPerChunk * 4,
      wholeGroups: layer.rows % group.size === 0,
      ...score.choices,
      ...dtypeChoices(layer),
      ...made({
        biased: layer.bias !== undefined,
        upBiased,
        bySlot,
        together: together > 1,
        hasCommon: bySlot && group.common > 0,
        gaps: bySlot && layer.selection.kind === "statistical",
      }),
    },
    functions: { activation, ...score.functions },
  });
}

function givesZeros(activation: ScalarFunction): boolean {
  const value = evaluateScalar(activation);
  return PROBES.some((z) => value(z) === 0);
}
