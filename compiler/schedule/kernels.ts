// Each kernel on its own: its grid, its bindings, what it keeps in workgroup memory, and the numbers and choices that its
// template receives.

import type { BindingPlan, KernelPlan, LaunchPlan, SoftmaxPlan } from "../../runtime/plan.ts";
import type { FusedKernel } from "../fuse.ts";
import type { Stage } from "../lower.ts";
import { exactStride } from "../padding.ts";
import { budgetOf, type Profile } from "../profiles.ts";
import {
  binding,
  exactBinding,
  inputBinding,
  largest,
  scoredBindings,
  scoreQuads,
  survivorsBinding,
  tokenChunks,
  tokenCodes,
} from "./buffers.ts";
import { bucketSlices, launchesOf, rowSlices } from "./slices.ts";

/** Invocations of the workgroup behind the survivors: one per bin of its 8-bit radix histogram. */
const RESCORE_LANES = 256;

/** Lanes that share a candidate's dot product without subgroups: 8 lanes of 16 bytes read one 128-byte line. */
const LANES_PER_ROW = 8;

/** The same for CUDA, where a warp always has 32: its shuffles add up, without shared memory. */
const LANES_PER_WARP = 32;

/**
 * Blocks that a multiprocessor must be able to hold at a time, by which the compiler of CUDA divides the registers. Left
 * to itself it aims at more and spills. A scoring thread takes up to 106 registers for tokens that lie in shared memory,
 * which leaves room for 8 blocks of 64, and up to 168 for tokens that lie in device memory. Behind the survivors there is
 * one block per token, so its registers are free. To be measured on a GPU.
 */
function blocksPerMultiprocessor({ template }: FusedKernel, { choices }: KernelParts): number {
  if (template !== "score_select") return 1;
  return choices.quantizesHere || choices.staged ? 8 : 4;
}

const EXTENSION = { wgsl: "wgsl", cuda: "cu" } as const;

interface WorkgroupVariable {
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
}

/** Everything that a kernel of a layer is scheduled from. */
export interface Context {
  readonly name: string;
  readonly layer: SoftmaxPlan;
  readonly profile: Profile;
  readonly fused: FusedKernel;
  /** Whether `quantize` runs as a kernel of its own. */
  readonly quantizedBefore: boolean;
}

/** Schedules one fused kernel. */
export function scheduleKernel(context: Context): KernelPlan {
  return SCHEDULERS[context.fused.template](context);
}

function scheduleQuantize(context: Context): KernelPlan {
  const { layer } = context;
  return kernel(context, {
    stem: "quantize",
    workgroupSize: layer.tiling.lanes,
    launches: [{ workgroups: [layer.batch, 1, 1] }],
    bindings: [
      inputBinding(layer),
      { ...tokenCodes(layer), access: "read_write" },
      { ...largest(layer), access: "read_write" },
    ],
    variables: [variable("largest_of_token", "atomic<u32>", 4)],
    constants: { LANES: layer.tiling.lanes, INPUTS: layer.inputs, CHUNKS: tokenChunks(layer) },
    choices: {},
  });
}

function scheduleScoreSelect(context: Context): KernelPlan {
  const { layer, profile, quantizedBefore } = context;
  const { batch, inputs, estimator, selection, tiling } = layer;
  const quantized = estimator.kind === "quantized";
  const int8 = quantized && estimator.activations === "int8";
  const quantizesHere = int8 && !quantizedBefore;

  const variables: WorkgroupVariable[] = [array("tile_keys", "u32", tiling.lanes, 4)];
  let free = budgetOf(profile).workgroupBytes - tiling.lanes * 4;
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
  bindings.push(...scoredBindings(layer), survivorsBinding(layer, "read_write"));
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
      ...dtypeChoices(layer),
    },
  });
}

function scheduleRescoreTopk(context: Context): KernelPlan {
  const { layer, profile, fused } = context;
  const { batch, inputs, k, candidates, selection } = layer;
  const has = (wanted: Stage["op"]) => fused.stages.some(({ op }) => op === wanted);
  const [selects, rescores, ranks] = [has("select"), has("rescore"), has("topk")];
  const cuda = profile.target === "cuda";
  const subgroups = rescores && !cuda && profile.features.includes("subgroups");
  const lanesPerRow = cuda ? LANES_PER_WARP : LANES_PER_ROW;
  const slices = rowSlices(layer, profile);
  const sliced = rescores && slices.each < slices.total;

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
  const taken = variables.reduce((sum, { bytes }) => sum + alignedBytes(bytes), 0);
  const fits = taken + alignedBytes(candidates * 8) <= budgetOf(profile).workgroupBytes;
  // Kernels that share the candidates meet in device memory.
  const chosenInWorkgroup = selects && ranks && fits;
  if (chosenInWorkgroup) variables.push(array("chosen", "vec2<u32>", candidates, 8));

  const bindings: BindingPlan[] = [];
  if (selects) bindings.push(survivorsBinding(layer, "read"));
  if (rescores) bindings.push(inputBinding(layer), exactBinding(layer));
  if (!chosenInWorkgroup) {
    const access = selects || rescores ? "read_write" : "read";
    bindings.push(binding("chosen", access, "array<vec2<u32>>", `[${batch}, ${candidates}] key and row`));
  }
  if (ranks) {
    bindings.push(
      binding("indices", "read_write", "array<u32>", `[${batch}, ${k}] rows, best first`),
      binding("values", "read_write", "array<f32>", `[${batch}, ${k}] their exact scores`),
    );
  }
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
      ...(ranks && { K: k }),
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
    },
  });
}

const SCHEDULERS: Readonly<Record<FusedKernel["template"], (context: Context) => KernelPlan>> = {
  quantize: scheduleQuantize,
  score_select: scheduleScoreSelect,
  rescore_topk: scheduleRescoreTopk,
};

interface KernelParts {
  readonly stem: string;
  readonly workgroupSize: number;
  readonly launches: readonly LaunchPlan[];
  readonly bindings: readonly BindingPlan[];
  readonly variables: readonly WorkgroupVariable[];
  readonly constants: Readonly<Record<string, number>>;
  readonly choices: Readonly<Record<string, boolean>>;
}

function kernel({ name, profile, fused }: Context, parts: KernelParts): KernelPlan {
  return {
    name: `${name}_${parts.stem}`,
    file: `${profile.folder}/${name}.${parts.stem}.${EXTENSION[profile.target]}`,
    template: fused.template,
    stages: fused.stages.map((stage) => (stage.op === "select" ? `select ${stage.from}` : stage.op)),
    workgroupSize: parts.workgroupSize,
    launches: parts.launches,
    workgroupBytes: parts.variables.reduce((sum, { bytes }) => sum + alignedBytes(bytes), 0),
    bindings: parts.bindings,
    workgroupVariables: parts.variables,
    constants: {
      ...parts.constants,
      ...(profile.target === "cuda" && { BLOCKS_PER_MULTIPROCESSOR: blocksPerMultiprocessor(fused, parts) }),
    },
    choices: parts.choices,
  };
}

function variable(name: string, type: string, bytes: number): WorkgroupVariable {
  return { name, type, bytes };
}

/** What a variable takes: each starts at a multiple of its alignment, 16 bytes at most (WebGPU §23.1 counts it so). */
function alignedBytes(bytes: number): number {
  return Math.ceil(bytes / 16) * 16;
}

function array(name: string, element: string, count: number, bytes: number): WorkgroupVariable {
  return { name, type: `array<${element}, ${count}>`, bytes: count * bytes };
}

function dtypeChoices({ dtype }: SoftmaxPlan) {
  return { bf16: dtype === "bf16", f16: dtype === "f16", f32: dtype === "f32" };
}
