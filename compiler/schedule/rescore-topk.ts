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
  samplerBindings,
  survivorsBinding,
  tailBinding,
} from "./buffers.ts";
import {
  alignedBytes,
  array,
  type Context,
  dtypeChoices,
  kernel,
  made,
  samplerConstants,
  temperatureOf,
  variable,
  type WorkgroupVariable,
} from "./kernel.ts";
import { launchesOf, rowSlices } from "./slices.ts";

/** Invocations of the workgroup behind the survivors: one per bin of its 8-bit radix histogram. */
const RESCORE_LANES = 256;

/** Lanes that share a candidate's dot product without subgroups: 8 lanes of 16 bytes read one 128-byte line. */
const LANES_PER_ROW = 8;

/** The same for CUDA, where a warp always has 32: its shuffles add up, without shared memory. */
const LANES_PER_WARP = 32;

export function scheduleRescoreTopk(context: Context): KernelPlan {
  const { layer, profile, fused } = context;
  const { batch, inputs, k, candidates, selection } = layer;
  const has = (wanted: Stage["op"]) => fused.stages.some(({ op }) => op === wanted);
  const [selects, rescores, ranks] = [has("select"), has("rescore"), has("topk")];
  const cuda = profile.target === "cuda";
  const subgroups = rescores && !cuda && profile.features.includes("subgroups");
  const lanesPerRow = cuda ? LANES_PER_WARP : LANES_PER_ROW;
  const slices = rowSlices(layer, profile);
  const sliced = rescores && slices.each < slices.total;

  const tail = hasTail(layer);
  const selectsTail = tail && selects;
  const addsUp = ranks && layer.logSumExp !== undefined;
  const samples = has("sample");
  const multinomial = samples && layer.sampler === "multinomial";
  const finishes = layer.temperature !== undefined && (ranks || selectsTail);

  const variables: WorkgroupVariable[] = [];
  if (selects) {
    variables.push(
      array("histogram", "atomic<u32>", RESCORE_LANES, 4),
      array("section_totals", "u32", RESCORE_LANES / 16, 4),
      variable("digit", "vec3<u32>", 12),
      variable("collected", "atomic<u32>", 4),
    );
  }
  if (rescores && !subgroups && !cuda) variables.push(array("partial", "f32", RESCORE_LANES, 4));
  if (subgroups) variables.push(variable("teams_counted", "atomic<u32>", 4));
  if (selectsTail || addsUp) variables.push(array("sums", "vec2<u32>", RESCORE_LANES, 8));
  const taken = variables.reduce((sum, { bytes }) => sum + alignedBytes(bytes), 0);
  const fits = taken + alignedBytes(candidates * 8) <= budgetOf(profile).workgroupBytes;
  // Kernels that share the candidates meet in device memory.
  const chosenInWorkgroup = selects && ranks && fits;
  if (chosenInWorkgroup) variables.push(array("chosen", "vec2<u32>", candidates, 8));

  const bindings: BindingPlan[] = [];
  if (selects) bindings.push(survivorsBinding(layer, "read"));
  if (rescores) bindings.push(inputBinding(layer), exactBinding(layer));
  if (rescores && layer.bias !== undefined) bindings.push(biasBinding(layer));
  if (!chosenInWorkgroup) {
    const access = selects || rescores || addsUp ? "read_write" : "read";
    bindings.push(binding("chosen", access, "array<vec2<u32>>", `[${batch}, ${candidates}] key and row`));
  }
  if (tail && (selects || ranks) && !(selects && ranks)) {
    bindings.push(tailBinding(layer, selects ? "read_write" : "read"));
  }
  if (ranks) {
    bindings.push(
      binding("indices", "read_write", "array<u32>", `[${batch}, ${k}] rows, best first`),
      binding("values", "read_write", "array<f32>", `[${batch}, ${k}] their exact scores`),
    );
  }
  if (addsUp) bindings.push(binding("lse", "read_write", "array<f32>", `[${batch}] log of the sum of exp(value)`));
  if (samples) bindings.push(...samplerBindings(layer));
  if (sliced) bindings.push(binding("first_row", "uniform", "u32", "of the slice of this launch"));
  const rowQuads = exactStride(layer) / 4;
  return kernel(context, {
    stem: [!ranks && selects && "select", rescores && "rescore", ranks && "topk"].filter(Boolean).join("_"),
    workgroupSize: RESCORE_LANES,
    launches: sliced ? launchesOf(slices, () => [batch, 1, 1]) : [{ workgroups: [batch, 1, 1] }],
    bindings,
    variables,
    constants: {
      LANES: RESCORE_LANES,
      CANDIDATES: candidates,
      ...(selects && { SURVIVORS: selection.buckets * selection.keep }),
      ...(selectsTail && { BATCH: batch, BUCKETS: selection.buckets }),
      ...(ranks && { K: k }),
      ...(addsUp && { CANDIDATES_PER_LANE: Math.ceil(candidates / RESCORE_LANES) }),
      ...(finishes && temperatureOf(layer)),
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
      meets: rescores || ranks,
      sliced,
      subgroups,
      chosenInWorkgroup,
      guarded: inputs < rowQuads * 4,
      ...dtypeChoices(layer),
      ...made({
        biased: rescores && layer.bias !== undefined,
        masked: layer.mask,
        tail: tail && (selects || ranks),
        finishes,
        logSumExp: addsUp,
        samples,
        multinomial,
      }),
    },
  });
}
