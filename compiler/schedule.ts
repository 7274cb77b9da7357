// Pass 5. Fused kernels become launches on one device profile: buffers, bindings, workgroup memory, grid, and the numbers
// and choices that a template receives. The result is frozen: it is the plan.

import { type Diagnostic, HireError } from "../runtime/errors.ts";
import type { BindingPlan, BufferPlan, KernelPlan, LayerProgram, SoftmaxPlan } from "../runtime/plan.ts";
import type { FusedKernel } from "./fuse.ts";
import type { Profile } from "./profiles.ts";
import { exactStride } from "./tile.ts";

/** Invocations of the workgroup behind the survivors: one per bin of its 8-bit radix histogram. */
const RESCORE_LANES = 256;

/** Lanes that share a candidate's dot product without subgroups: 8 lanes of 16 bytes read one 128-byte line. */
const LANES_PER_ROW = 8;

interface WorkgroupVariable {
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
}

/** Everything that a kernel of a layer is scheduled from. */
interface Context {
  readonly name: string;
  readonly layer: SoftmaxPlan;
  readonly profile: Profile;
  readonly fused: FusedKernel;
  /** Whether `quantize` runs as a kernel of its own. */
  readonly quantizedBefore: boolean;
}

/**
 * @throws HireError HIRE-PLAN-001 when a buffer does not fit into one binding of the profile, -002 when integer scores
 * could overflow, -009 when a kernel needs more of anything than the profile offers.
 */
export function schedule(
  name: string,
  layer: SoftmaxPlan,
  kernels: readonly FusedKernel[],
  profile: Profile,
): LayerProgram {
  const quantizedBefore = kernels.some(({ template }) => template === "quantize");
  const scheduled = kernels.map((fused) =>
    SCHEDULERS[fused.template]({ name, layer, profile, fused, quantizedBefore }),
  );
  const used = new Set(scheduled.flatMap(({ bindings }) => bindings.map((binding) => binding.name)));
  const buffers = planBuffers(layer).filter((buffer) => used.has(buffer.name));
  const problems = limitProblems(name, layer, buffers, scheduled, profile);
  if (problems.length > 0) throw new HireError(problems);
  return { buffers, kernels: scheduled };
}

function planBuffers(layer: SoftmaxPlan): BufferPlan[] {
  const { batch, inputs, k, candidates, selection, tensors } = layer;
  return [
    { name: "x", role: "input", bytes: batch * inputs * 4 },
    ...tensors.map(({ role, bytes }): BufferPlan => ({ name: role, role: "weight", bytes })),
    { name: "token_codes", role: "scratch", bytes: batch * tokenChunks(layer) * 16 },
    { name: "largest", role: "scratch", bytes: batch * 4 },
    { name: "survivors", role: "scratch", bytes: batch * selection.buckets * selection.keep * 8 },
    { name: "chosen", role: "scratch", bytes: batch * candidates * 8 },
    { name: "indices", role: "output", bytes: batch * k * 4 },
    { name: "values", role: "output", bytes: batch * k * 4 },
  ];
}

function scheduleQuantize(context: Context): KernelPlan {
  const { layer } = context;
  return kernel(context, {
    stem: "quantize",
    workgroupSize: layer.tiling.lanes,
    workgroups: [layer.batch, 1, 1],
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
  let free = profile.limits.maxComputeWorkgroupStorageSize - tiling.lanes * 4;
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

  return kernel(context, {
    stem: "score_select",
    workgroupSize: tiling.lanes,
    workgroups: [selection.buckets, 1, 1],
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
  const rescores = fused.stages.some(({ op }) => op === "rescore");
  const subgroups = rescores && profile.features.includes("subgroups");
  const variables: WorkgroupVariable[] = [
    array("histogram", "atomic<u32>", RESCORE_LANES, 4),
    array("section_totals", "u32", RESCORE_LANES / 16, 4),
    variable("digit", "vec3<u32>", 12),
    variable("collected", "atomic<u32>", 4),
  ];
  if (rescores && !subgroups) variables.push(array("partial", "f32", RESCORE_LANES, 4));
  if (subgroups) variables.push(variable("teams_counted", "atomic<u32>", 4));
  const taken = variables.reduce((sum, { bytes }) => sum + alignedBytes(bytes), 0);
  const chosenInWorkgroup = taken + alignedBytes(candidates * 8) <= profile.limits.maxComputeWorkgroupStorageSize;
  if (chosenInWorkgroup) variables.push(array("chosen", "vec2<u32>", candidates, 8));

  const bindings: BindingPlan[] = [survivorsBinding(layer, "read")];
  if (rescores) bindings.push(inputBinding(layer), exactBinding(layer));
  if (!chosenInWorkgroup) {
    bindings.push(binding("chosen", "read_write", "array<vec2<u32>>", `[${batch}, ${candidates}] key and row`));
  }
  bindings.push(
    binding("indices", "read_write", "array<u32>", `[${batch}, ${k}] rows, best first`),
    binding("values", "read_write", "array<f32>", `[${batch}, ${k}] their exact scores`),
  );
  const rowQuads = exactStride(layer) / 4;
  return kernel(context, {
    stem: rescores ? "rescore_topk" : "topk",
    workgroupSize: RESCORE_LANES,
    workgroups: [batch, 1, 1],
    bindings,
    variables,
    constants: {
      LANES: RESCORE_LANES,
      SURVIVORS: selection.buckets * selection.keep,
      CANDIDATES: candidates,
      K: k,
      ...(rescores && {
        INPUTS: inputs,
        QUADS: rowQuads,
        CHUNKS: rowQuads / (layer.dtype === "f32" ? 1 : 2),
        ...(!subgroups && { LANES_PER_ROW, TEAMS: RESCORE_LANES / LANES_PER_ROW }),
      }),
    },
    choices: {
      rescores,
      subgroups,
      chosenInWorkgroup,
      guarded: inputs < rowQuads * 4,
      staged: false,
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
  readonly workgroups: readonly [number, number, number];
  readonly bindings: readonly BindingPlan[];
  readonly variables: readonly WorkgroupVariable[];
  readonly constants: Readonly<Record<string, number>>;
  readonly choices: Readonly<Record<string, boolean>>;
}

function kernel({ name, profile, fused }: Context, parts: KernelParts): KernelPlan {
  return {
    name: `${name}_${parts.stem}`,
    file: `${profile.name}/${name}.${parts.stem}.wgsl`,
    template: fused.template,
    stages: fused.stages.map((stage) => (stage.op === "select" ? `select ${stage.from}` : stage.op)),
    workgroupSize: parts.workgroupSize,
    workgroups: parts.workgroups,
    workgroupBytes: parts.variables.reduce((sum, { bytes }) => sum + alignedBytes(bytes), 0),
    bindings: parts.bindings,
    workgroupVariables: parts.variables,
    constants: parts.constants,
    choices: parts.choices,
  };
}

/** 16-byte chunks of a token's int8 codes. */
function tokenChunks({ estimator }: SoftmaxPlan): number {
  return estimator.kind === "quantized" ? (estimator.group * estimator.groups) / 16 : 0;
}

/** vec4<f32> of a token that meet the columns of a scored row. */
function scoreQuads(layer: SoftmaxPlan): number {
  const { estimator } = layer;
  return (estimator.kind === "quantized" ? estimator.group * estimator.groups : exactStride(layer)) / 4;
}

function scoredBindings({ estimator, tensors, tiling, rows, inputs }: SoftmaxPlan): BindingPlan[] {
  return tensors
    .filter(({ role }) => role !== "exact")
    .map(({ role, shape }) => {
      const at = `[${shape.slice(0, role === "codes" || role === "weights" ? 4 : shape.length).join(", ")}]`;
      switch (role) {
        case "codes": {
          const bits = estimator.kind === "quantized" ? estimator.bits : 0;
          return binding(
            role,
            "read",
            "array<vec4<u32>>",
            `${at} bucket, tile, step, lane: ${128 / bits} codes of ${bits} bits`,
          );
        }
        case "weights":
          return binding(
            role,
            "read",
            "array<vec4<u32>>",
            `${at} bucket, tile, step, lane: the ${rows} × ${inputs} weights`,
          );
        case "scales":
          return binding(role, "read", "array<u32>", `${at} bucket, tile, word, lane: 4 group scales of 8 bits`);
        default:
          return binding(role, "read", "array<f32>", `${at} bucket, tile, lane: ${tiling.lanes} row scales a tile`);
      }
    });
}

function inputBinding({ batch, inputs }: SoftmaxPlan): BindingPlan {
  return binding("x", "read", "array<f32>", `[${batch}, ${inputs}] tokens`);
}

function tokenCodes(layer: SoftmaxPlan): BindingPlan {
  return binding(
    "token_codes",
    "read",
    "array<vec4<u32>>",
    `[${layer.batch}, ${tokenChunks(layer)}] 16 int8 codes each`,
  );
}

function largest({ batch }: SoftmaxPlan): BindingPlan {
  return binding("largest", "read", "array<u32>", `[${batch}] bits of the largest |x| of a token`);
}

function exactBinding({ tensors, dtype }: SoftmaxPlan): BindingPlan {
  const { shape } = tensors.find(({ role }) => role === "exact")!;
  return binding("exact", "read", "array<vec4<u32>>", `[${shape.join(", ")}] ${dtype} weights, row by row`);
}

function survivorsBinding({ batch, selection }: SoftmaxPlan, access: BindingPlan["access"]): BindingPlan {
  const shape = `[${batch}, ${selection.buckets}, ${selection.keep}]`;
  return binding("survivors", access, "array<vec2<u32>>", `${shape} token, bucket, rank: key and row`);
}

function binding(name: string, access: BindingPlan["access"], type: string, note: string): BindingPlan {
  return { name, access, type, note };
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

function limitProblems(
  name: string,
  { inputs, estimator }: SoftmaxPlan,
  buffers: readonly BufferPlan[],
  kernels: readonly KernelPlan[],
  { name: profile, limits }: Profile,
): Diagnostic[] {
  const problems: Diagnostic[] = [];
  if (estimator.kind === "quantized" && estimator.activations === "int8" && largestScore(estimator) > 2 ** 31 - 1) {
    problems.push({
      code: "HIRE-PLAN-002",
      message: `Layer "${name}" is too wide for integer scores: ${inputs} inputs of ${estimator.bits} bits can exceed 32 bits`,
      fix: 'Use quantized({ …, activations: "f32" }), or fewer bits',
    });
  }
  for (const { name: buffer, bytes } of buffers) {
    if (bytes <= limits.maxStorageBufferBindingSize) continue;
    problems.push({
      code: "HIRE-PLAN-001",
      message: `Layer "${name}": buffer "${buffer}" has ${bytes} bytes, but ${profile} binds at most ${limits.maxStorageBufferBindingSize}`,
      fix: "Use fewer rows or inputs, or a narrower dtype; this version does not slice a matrix over bindings",
    });
  }
  for (const each of kernels) {
    const needs = [
      { what: "bytes of workgroup memory", used: each.workgroupBytes, most: limits.maxComputeWorkgroupStorageSize },
      { what: "invocations", used: each.workgroupSize, most: limits.maxComputeInvocationsPerWorkgroup },
      { what: "storage buffers", used: each.bindings.length, most: limits.maxStorageBuffersPerShaderStage },
      { what: "workgroups", used: Math.max(...each.workgroups), most: limits.maxComputeWorkgroupsPerDimension },
    ];
    for (const { what, used, most } of needs) {
      if (used <= most) continue;
      problems.push({
        code: "HIRE-PLAN-009",
        message: `Kernel ${each.name} needs ${used} ${what}, but ${profile} has ${most}`,
        fix: "Lower batch or rows, or compile for another profile",
      });
    }
  }
  return problems;
}

/** The largest magnitude that an integer score can reach, on the way too: 4-bit codes count 16 times until a group ends. */
function largestScore({ bits, group, groups, scaleMax }: SoftmaxPlan["estimator"] & { kind: "quantized" }): number {
  const largestOfGroup = group * (2 ** (bits - 1) - 1) * 127;
  return largestOfGroup * Math.max(groups * scaleMax, bits === 4 ? 16 : 1);
}
