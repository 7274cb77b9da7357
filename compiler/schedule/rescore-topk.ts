// From the survivors to the results: selection, exact scores and ranks, together or apart.

import type { BindingPlan, KernelPlan } from "../../runtime/plan.ts";
import type { Stage } from "../lower.ts";
import { exactStride } from "../padding.ts";
import { budgetOf } from "../profiles.ts";
import {
  biasBinding,
  binding,
  exactBinding,
  hasTail,
  inputBinding,
  pairsBinding,
  samplerBindings,
  survivorsBinding,
  tailBinding,
} from "./buffers.ts";
import { droppedBinding, exactSurvivors, failedBinding, STEP } from "./certificate.ts";
import {
  alignedBytes,
  array,
  type Context,
  dtypeChoices,
  finishing,
  kernel,
  made,
  samplerConstants,
  variable,
  type WorkgroupVariable,
} from "./kernel.ts";
import { meetingsBinding, rescoreParts } from "./rescore-parts.ts";
import { launchesOf, rowSlices } from "./slices.ts";

/** Invocations of the workgroup behind the survivors: one per bin of its 8-bit radix histogram. */
export const RESCORE_LANES = 256;

/** Lanes that share a candidate's dot product without subgroups: 8 lanes of 16 bytes read one 128-byte line. */
const LANES_PER_ROW = 8;

/** The same for CUDA, where a warp always has 32: its shuffles add up, without shared memory. */
const LANES_PER_WARP = 32;

/** How a profile shares an exact row among lanes. Wherever a layer's rows are scored exactly it is done alike. */
export function rowTeams({ profile, tuning }: Context): {
  readonly subgroups: boolean;
  readonly lanesPerRow: number;
} {
  const cuda = profile.target === "cuda";
  const subgroups = !cuda && profile.features.includes("subgroups");
  return { subgroups, lanesPerRow: cuda ? LANES_PER_WARP : (tuning?.rescoreLanesPerRow ?? LANES_PER_ROW) };
}

export function scheduleRescoreTopk(context: Context): KernelPlan {
  const { layer, profile, fused, tuning } = context;
  const { batch, inputs, k, selection, estimator } = layer;
  const has = (wanted: Stage["op"]) => fused.stages.some(({ op }) => op === wanted);
  const fallback = has("fallback");
  const [selects, rescores, ranks] = [has("select") || fallback, has("rescore"), has("topk") || fallback];
  // All rows were scored exactly then, so the candidates are the result.
  const candidates = fallback ? k : layer.candidates;
  const sends = ranks && layer.shard !== undefined && layer.kind === "softmax";
  const certifies = has("certify") || (has("send") && layer.certificate !== undefined);
  const drops = selects && !fallback && layer.certificate !== undefined;
  const bounded = certifies && estimator.kind === "quantized";
  const int8 = estimator.kind === "quantized" && estimator.activations === "int8";
  const cuda = profile.target === "cuda";
  const { lanesPerRow, ...teams } = rowTeams(context);
  const subgroups = rescores && teams.subgroups;
  const slices = rowSlices(layer, profile);
  const sliced = rescores && slices.each < slices.total;

  const tail = hasTail(layer);
  const selectsTail = tail && selects;
  const addsUp = ranks && layer.logSumExp !== undefined;
  const samples = has("sample");
  const multinomial = samples && layer.sampler === "multinomial";
  const finish = ranks || selectsTail ? finishing(layer) : undefined;

  const variables: WorkgroupVariable[] = [];
  if (selects) {
    variables.push(
      array("histogram", "atomic<u32>", RESCORE_LANES, 4),
      array("section_totals", "u32", RESCORE_LANES / (cuda ? LANES_PER_WARP : 16), 4),
      variable("digit", "vec3<u32>", 12),
      variable("collected", "atomic<u32>", 4),
    );
    if (cuda) variables.push(array("differing", "vec2<u32>", RESCORE_LANES / LANES_PER_WARP, 8));
  }
  if (rescores && !subgroups && !cuda) variables.push(array("partial", "f32", RESCORE_LANES, 4));
  if (subgroups) variables.push(variable("teams_counted", "atomic<u32>", 4));
  if (drops) variables.push(variable("dropped_key", "atomic<u32>", 4));
  if (certifies && !sends) variables.push(variable("kth_key", "u32", 4));
  if (bounded) variables.push(variable("largest_of_token", "atomic<u32>", 4));
  if (selectsTail || addsUp) variables.push(array("sums", "vec2<u32>", RESCORE_LANES, 8));
  const taken = variables.reduce((sum, { bytes }) => sum + alignedBytes(bytes), 0);
  const fits = taken + alignedBytes(candidates * 8) <= budgetOf(profile).workgroupBytes;
  // Kernels that share the candidates meet in device memory.
  const chosenInWorkgroup = selects && ranks && fits;
  if (chosenInWorkgroup) variables.push(array("chosen", "vec2<u32>", candidates, 8));
  const parts = fallback ? 1 : rescoreParts(layer, profile, tuning?.rescoreParts);
  const split = parts > 1;
  if (split) variables.push(variable("meeting", "u32", 4));

  const bindings: BindingPlan[] = [];
  const { group } = layer;
  // Groups are looked up by number later, so each gets to know its place.
  const places = group !== undefined;
  const exactlyScored = fallback ? exactSurvivors(layer, profile) : undefined;
  if (exactlyScored) bindings.push(failedBinding(layer, "read"), { ...exactlyScored.binding, access: "read" });
  else if (selects) bindings.push(survivorsBinding(layer, "read"));
  if (rescores || bounded) bindings.push(inputBinding(layer));
  if (rescores) bindings.push(exactBinding(layer));
  if (rescores && layer.bias !== undefined) bindings.push(biasBinding(layer));
  if (!chosenInWorkgroup) {
    const access = selects || rescores || addsUp ? "read_write" : "read";
    bindings.push(binding("chosen", access, "array<vec2<u32>>", `[${batch}, ${candidates}] key and row`));
  }
  if (split) {
    const scored = binding("scored", "read_write", "array<vec2<u32>>", `[${batch}, ${candidates}] exact key and row`);
    bindings.push({ ...scored, buffer: "chosen" }, meetingsBinding(layer));
  }
  if (places) {
    const note = `[${batch}, ${group.count}] where a token keeps a group, counted from 1; 0 nowhere`;
    bindings.push(binding("slots", "read_write", "array<u32>", note));
  }
  // Kernels that do not share workgroup memory pass it on.
  const passesDropped = drops !== certifies && layer.certificate !== undefined && !fallback && (selects || ranks);
  if (passesDropped) bindings.push(droppedBinding(layer, drops ? "read_write" : "read"));
  if (tail && (selects || ranks) && !(selects && ranks)) {
    bindings.push(tailBinding(layer, selects ? "read_write" : "read"));
  }
  if (sends) bindings.push(pairsBinding(layer));
  else if (ranks) {
    bindings.push(
      binding("indices", "read_write", "array<u32>", `[${batch}, ${k}] rows, best first`),
      binding(
        "values",
        "read_write",
        "array<f32>",
        `[${batch}, ${k}] their ${finish?.choices.finishes ? "values" : "exact scores"}`,
      ),
    );
  }
  if (certifies && !sends)
    bindings.push(binding("certified", "read_write", "array<u32>", `[${batch}] 1 when no row was missed`));
  if (addsUp) bindings.push(binding("lse", "read_write", "array<f32>", `[${batch}] log of the sum of exp(value)`));
  if (samples) bindings.push(...samplerBindings(layer));
  if (sliced) bindings.push(binding("first_row", "uniform", "u32", "of the slice of this launch"));
  const rowQuads = exactStride(layer) / 4;
  return kernel(context, {
    stem: [fallback && "fallback", !ranks && selects && "select", rescores && "rescore", ranks && "topk"]
      .filter(Boolean)
      .join("_"),
    workgroupSize: RESCORE_LANES,
    launches: sliced
      ? launchesOf(slices, () => [batch, 1, 1])
      : [{ workgroups: split ? [parts, batch, 1] : [batch, 1, 1], ...(fallback && !cuda && { indirect: 0 }) }],
    bindings,
    variables,
    constants: {
      LANES: RESCORE_LANES,
      CANDIDATES: candidates,
      ...(selects && { SURVIVORS: exactlyScored?.perToken ?? selection.buckets * selection.keep }),
      ...(drops && { KEEP: selection.keep, BUCKETS: selection.buckets, ROWS: layer.rows }),
      ...(bounded && { INPUTS: inputs, ...(int8 && { STEP }) }),
      ...(selectsTail && { BATCH: batch, BUCKETS: selection.buckets }),
      ...(ranks && { K: k }),
      ...(split && { PARTS: parts }),
      ...(layer.kind === "ffn" && { GROUP_COUNT: layer.group.count, COMMON: layer.group.common }),
      ...(addsUp && { CANDIDATES_PER_LANE: Math.ceil(candidates / RESCORE_LANES) }),
      ...finish?.constants,
      ...(multinomial && samplerConstants(layer)),
      ...(sliced && { SLICE_ROWS: slices.each }),
      ...(rescores && {
        INPUTS: inputs,
        QUADS: rowQuads,
        CHUNKS: rowQuads / (layer.dtype === "f32" ? 1 : 2),
        ...(!subgroups && { LANES_PER_ROW: lanesPerRow, TEAMS: RESCORE_LANES / lanesPerRow }),
      }),
    },
    choices: {
      selects,
      rescores,
      ranks,
      places,
      hasCommon: (group?.common ?? 0) > 0,
      meets: rescores || ranks,
      fallback,
      drops,
      certifies,
      bounded,
      passesDropped,
      int8,
      sliced,
      subgroups,
      chosenInWorkgroup,
      guarded: inputs < rowQuads * 4,
      ...dtypeChoices(layer),
      ...made({
        split,
        sends,
        biased: rescores && layer.bias !== undefined,
        gaps: layer.mask || selection.kind === "statistical",
        tail: tail && (selects || ranks),
        ...finish?.choices,
        logSumExp: addsUp,
        samples,
        multinomial,
      }),
    },
    ...(finish?.functions && { functions: finish.functions }),
  });
}
