// The plan: the frozen JSON between the compiler and the runtime. It says everything that a kernel, a pack and a loader
// must agree on; the runtime needs it and the kernels' sources, nothing else of the compiler.

import { type Diagnostic, HireError } from "./errors.ts";
import type { CodeBits } from "./pack/code-format.ts";
import type { TensorDtype } from "./safetensors.ts";
import type { ScalarFunction } from "./scalar.ts";
import type { ShardRows } from "./shard-rows.ts";

/** What kernels are written in. */
export type Target = "wgsl" | "cuda";

/** Raised whenever a plan or a pack written before could be misread. */
export const PLAN_FORMAT = 1;

export interface Plan {
  readonly format: number;
  readonly model: string;
  /** File name of the spec. */
  readonly spec: string;
  /** SHA-256 of everything that decides the bytes of a pack; a pack carries the hash of the plan it was made for. */
  readonly packHash: string;
  readonly layers: Readonly<Record<string, LayerPlan>>;
  /**
   * One program per device profile; of each target, from the most demanding profile to the default one. Of a sharded output
   * head it holds the kernels that merge what shards send, of a sharded feed-forward none.
   */
  readonly programs: readonly Program[];
  /** Absent where no layer is sharded. */
  readonly shards?: ShardsPlan;
}

/** What the shards of a model compute. */
export interface ShardsPlan {
  readonly count: number;
  /** Of each shard, the number of its part, and the hash that its pack carries. */
  readonly shards: readonly { readonly part: number; readonly packHash: string }[];
  /** The sharded layers as a shard computes them, by name; a layer is missing of which the shard has no rows. */
  readonly parts: readonly {
    readonly layers: Readonly<Record<string, LayerPlan>>;
    /** By the profiles of `programs`. */
    readonly programs: Readonly<Record<string, Readonly<Record<string, LayerProgram>>>>;
  }[];
}

/** How a layer is spread over shards, and what that costs in recall and exchanges. */
export interface ShardingPlan {
  readonly count: number;
  readonly layout: ShardRows["layout"];
  /** Rows that a shard recomputes, or groups that it adds up; fewer where it has fewer. */
  readonly keep: number;
  /** Best rows that every shard of a head sends at first, and those that it has to offer in all; 0 of a feed-forward. */
  readonly sent: number;
  readonly offered: number;
  /** Expected share of what one device would select that shards select together (§2.1 of the method, a shard being a bucket). */
  readonly recall: number;
  /** Odds that some shard has to send the rest as well. */
  readonly resend: number;
}

/** What a shard's layer is a part of. */
export interface PartOfPlan {
  readonly count: number;
  readonly layout: ShardRows["layout"];
  /** Rows of the whole layer. */
  readonly rows: number;
  /** Its rows, or its groups of neurons. */
  readonly choices: number;
  /** Which shard's; absent in the plan of all. */
  readonly index?: number;
}

export type LayerPlan = SoftmaxPlan | FfnPlan;

/** What every layer has whose rows are scored with a cheap copy: the part that the scoring kernels work from. */
export interface ScoredPlan extends SoftmaxOptionsPlan {
  readonly inputs: number;
  /** Rows that are scored: those of an output head, or the neurons of a feed-forward. */
  readonly rows: number;
  readonly dtype: "f32" | "f16" | "bf16";
  /** How many rows are selected together; absent where each row stands for itself. */
  readonly group?: GroupPlan;
  /** Of rows, or of groups where there are groups; so are `candidates` and what the selection keeps. */
  readonly k: number;
  readonly candidates: number;
  readonly batch: number;
  readonly estimator: EstimatorPlan;
  readonly selection: SelectionPlan;
  readonly tiling: TilingPlan;
  readonly tensors: readonly TensorPlan[];
  readonly bytes: BytesPlan;
  /** How the top k of an output head is certified; absent when it is not. */
  readonly certificate?: CertificatePlan;
  /** Absent where no batch reads as many bytes as the dense path does. */
  readonly crossover?: CrossoverPlan;
  /** Absent where the layer is whole. */
  readonly sharding?: ShardingPlan;
  /** Of the part that one shard computes. */
  readonly shard?: PartOfPlan;
}

export interface CrossoverPlan {
  /** The smallest batch for which the dense path reads no more bytes, when tokens choose independently of each other. */
  readonly batch: number;
  /** Whether the layer is past it and takes the dense path: then its estimator is `dense`, whatever the spec says. */
  readonly taken: boolean;
}

export interface SoftmaxPlan extends ScoredPlan {
  readonly kind: "softmax";
  /** Name of the `[rows, inputs]` tensor in the weights file. */
  readonly weight: string;
}

export interface FfnPlan extends ScoredPlan {
  readonly kind: "ffn";
  readonly outputs: number;
  /** Whether `down · (act(gate · x) ⊙ (up · x))` or `down · act(up · x)`. */
  readonly gated: boolean;
  /** Names in the weights file: gate and up `[rows, inputs]`, down `[outputs, rows]`. */
  readonly weights: { readonly gate?: string; readonly up: string; readonly down: string };
  /** Names of the biases of what is not scored: up `[rows]` beside a gate, down `[outputs]`. */
  readonly biases?: { readonly up?: string; readonly down?: string };
  readonly group: GroupPlan;
  readonly activation: ScalarFunction;
}

/** Group `g` is the neurons `g · size` to `(g + 1) · size - 1`; the last may be smaller. */
export interface GroupPlan {
  readonly size: number;
  readonly count: number;
  /** The first so many groups, which every token computes: they are neither scored nor selected from. */
  readonly common: number;
  /** What orders groups: the largest of their neurons' pre-activations, their sum, the sum of their squares, or the sum of a function of each. */
  readonly score: "max" | "sum" | "l2" | ScalarFunction;
}

/** What an output head does beyond its k best scores; each is absent when the layer does without. */
export interface SoftmaxOptionsPlan {
  /** Name of the `[rows]` tensor in the weights file that is added to the scores; also of a feed-forward. */
  readonly bias?: string;
  /** Whether rows may be forbidden when the layer runs. */
  readonly mask?: true;
  /** What becomes of scores; it never decreases. */
  readonly transform?: ScalarFunction;
  /** Values are divided by it, behind the transform; absent when it is 1. */
  readonly temperature?: number;
  /** Whose values the log-sum-exp adds up: all rows exactly, the candidates, or those and the estimates of the others. */
  readonly logSumExp?: "all" | "candidates" | "estimates";
  readonly sampler?: "greedy" | "multinomial";
  /** Results from which the multinomial sampler draws, and the share of their probability that it cuts them at. */
  readonly topK?: number;
  readonly topP?: number;
}

export type EstimatorPlan =
  | ScoredMatrixPlan
  | {
      readonly kind: "lowRank";
      readonly rank: number;
      readonly bits: 4 | 8 | 16;
      readonly basis: "weights" | "activations";
      readonly activations: "int8" | "f32";
      /** How the factors are scored, `[rows, rank]`: by codes, or as bf16 where they have 16 bits. */
      readonly rows: ScoredMatrixPlan;
    };

/** A matrix as scoring kernels read it. */
export type ScoredMatrixPlan =
  | { readonly kind: "dense" }
  | {
      readonly kind: "quantized";
      readonly bits: CodeBits;
      /** Inputs per scale; the padded width of a row when there is one scale per row. */
      readonly group: number;
      /** Groups per row. */
      readonly groups: number;
      readonly activations: "int8" | "f32";
      /**
       * Group scales are whole multiples, 1 to `scaleMax`, of the row's f32 scale; 1 when there is one group. With int8
       * activations a row's score is then one integer times one float: exact and equal on every device.
       */
      readonly scaleMax: number;
    };

export interface SelectionPlan {
  readonly kind: "exact" | "twoStage" | "statistical";
  /** Row `r`, or group `r` where there are groups, belongs to bucket `r mod buckets`. */
  readonly buckets: number;
  /** Best estimated rows of every bucket that survive the first stage; of a statistical one, the first above the threshold. */
  readonly keep: number;
  /** Of a statistical selection: the threshold is so many deviations above the mean of the bucket's finite scores. */
  readonly quantile?: number;
  /** Expected share of the `candidates`, and of the `k`, best estimated rows among the survivors (§2.1 of the method). */
  readonly recallOfCandidates: number;
  readonly recallOfK: number;
}

/** The proof that no row was missed (docs/certificates.md). */
export interface CertificatePlan {
  /** `fallback` also recomputes the tokens for which the proof fails. */
  readonly kind: "report" | "fallback";
  /**
   * What the bounds of a quantized layer allow for floating point, all f32; absent when scores are exact anyway.
   * `rounding`: the share of `‖row‖ · ‖token‖` by which a score in f32 may differ from the real one, as an estimate and in
   * the exact pass together. `growth`: 1 + rounding. `norm`: the factor that turns a token's norm, as computed in f32, into
   * an upper bound.
   */
  readonly slack?: { readonly rounding: number; readonly growth: number; readonly norm: number };
}

/**
 * Where a row lies. Position `p = floor(r / buckets)` of bucket `b = r mod buckets` is lane `p mod lanes` of tile
 * `floor(p / lanes)`. Of groups, `floor(lanes / size)` lie in a tile, neuron by neuron on adjacent lanes. A step is the 16 bytes that one lane loads at once, and the lanes of a step lie side by side.
 */
export interface TilingPlan {
  readonly lanes: number;
  /** Tiles per bucket. */
  readonly tiles: number;
  /** Steps per row of the scored copy. */
  readonly steps: number;
}

export interface TensorPlan {
  readonly name: string;
  readonly role:
    | "codes"
    | "low_codes"
    | "scales"
    | "row_scales"
    | "bounds"
    | "weights"
    | "basis"
    | "basis_scales"
    | "exact"
    | "bias"
    | "up_bias"
    | "down_bias"
    | "bundles";
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  readonly bytes: number;
}

export interface BytesPlan {
  /** Weight bytes that the dense layer reads per launch. */
  readonly dense: number;
  /** Bytes of the scored copy, read once per launch. */
  readonly score: number;
  /** Bytes of exact rows, read per token: those of all candidates. */
  readonly rescore: number;
}

export type Program = WgslProgram | CudaProgram;

interface AnyProgram {
  readonly profile: string;
  readonly target: Target;
  /** The profile's limits, under the names of the target's API; a device must offer at least these. */
  readonly limits: Readonly<Record<string, number>>;
  readonly layers: Readonly<Record<string, LayerProgram>>;
}

export interface WgslProgram extends AnyProgram {
  readonly target: "wgsl";
  /** Device features that the kernels need. */
  readonly features: readonly string[];
}

export interface CudaProgram extends AnyProgram {
  readonly target: "cuda";
  /** What to compile the sources for, such as `sm_90`. */
  readonly architecture: string;
}

export interface LayerProgram {
  /** What was chosen by measuring, see `hirec tune`; absent where every knob is at its default. */
  readonly tuning?: TuningPlan;
  readonly buffers: readonly BufferPlan[];
  /** In launch order. */
  readonly kernels: readonly KernelPlan[];
}

/**
 * Numbers of a schedule that may be chosen otherwise than by default: they change neither pack nor result, only time.
 * compiler/tuning/knobs.ts says what they mean and which values there are.
 */
export interface TuningPlan {
  readonly splits?: number;
  readonly residentThreads?: number;
  readonly rescoreParts?: number;
  readonly rescoreLanesPerRow?: number;
  readonly gatherLanes?: number;
  readonly projectLanes?: number;
}

export interface BufferPlan {
  readonly name: string;
  readonly role: "input" | "output" | "weight" | "scratch" | "indirect";
  readonly bytes: number;
  /**
   * Bytes of each slice, in order, of a buffer that exceeds the profile's largest binding; absent when it is whole. The
   * slices are buffers of their own.
   */
  readonly slices?: readonly number[];
  /** Of an input that all tokens of a run share. */
  readonly shared?: true;
}

/** One dispatch of a kernel. */
export interface LaunchPlan {
  readonly workgroups: readonly [number, number, number];
  /**
   * First bucket or row of the slice that this launch works on; absent when nothing is sliced. The kernel gets it as its
   * uniform, and of every sliced buffer the slice with the number of the launch.
   */
  readonly first?: number;
  /**
   * Offset in bytes into the buffer of role "indirect" at which a kernel before leaves the grid, three u32; `workgroups`
   * is then the largest that it can be. Only in WGSL: in CUDA the grid is always the largest, and blocks that have nothing
   * to do end at once.
   */
  readonly indirect?: number;
}

/**
 * A kernel, in the words of WebGPU. In CUDA a workgroup is a block, an invocation a thread, workgroup memory is shared
 * memory, a binding is a parameter (a device pointer; the order is the same), and `vec4<u32>` is `uint4`.
 */
export interface KernelPlan {
  /** Entry point of the source. */
  readonly name: string;
  /** Path of the source below the compiled folder. */
  readonly file: string;
  readonly template: string;
  readonly stages: readonly string[];
  readonly workgroupSize: number;
  readonly launches: readonly LaunchPlan[];
  readonly workgroupBytes: number;
  readonly bindings: readonly BindingPlan[];
  readonly workgroupVariables: readonly { readonly name: string; readonly type: string; readonly bytes: number }[];
  /** The numbers and the choices that its template receives. */
  readonly constants: Readonly<Record<string, number>>;
  readonly choices: Readonly<Record<string, boolean>>;
  /** Functions of one number that the kernel calls, by their names in its source; absent when there are none. */
  readonly functions?: Readonly<Record<string, ScalarFunction>>;
  /** What it takes of a multiprocessor; only of CUDA kernels, and absent in plans written before it was computed. */
  readonly resources?: ResourcesPlan;
}

/**
 * What a block may take of a multiprocessor of the profile, and how many of them that leaves room for. The compiler of the
 * source is bound to the registers, so that these are the fewest blocks.
 */
export interface ResourcesPlan {
  /** Of a thread, at most: what `__launch_bounds__` leaves it. */
  readonly registers: number;
  /** Blocks that a multiprocessor holds at a time. */
  readonly residentBlocks: number;
  /** What there is too little of for more blocks. */
  readonly limitedBy: "registers" | "shared memory" | "threads" | "blocks";
  /** Their warps, as a share of those that a multiprocessor can hold. */
  readonly occupancy: number;
}

export interface BindingPlan {
  /** Name of the variable. The position in the list is the binding's number, in WGSL all in group 0. */
  readonly name: string;
  /** Name of the buffer; absent where it is that of the variable. */
  readonly buffer?: string;
  readonly access: "read" | "read_write" | "uniform";
  readonly type: string;
  /** Shape and meaning, for readers of the source. */
  readonly note: string;
}

/** Every kernel of a plan, those of shards too. */
export function kernelsOf({ programs, shards }: Plan) {
  return programs.flatMap(({ profile, target, layers }) =>
    [layers, ...(shards?.parts ?? []).map((part) => part.programs[profile]!)].flatMap((each) =>
      Object.entries(each).flatMap(([layer, { kernels }]) =>
        kernels.map((kernel) => ({ profile, target, layer, kernel })),
      ),
    ),
  );
}

/**
 * Checks that parsed JSON is a plan of this version.
 * @throws HireError HIRE-PLAN-005 for another version, HIRE-PLAN-008 for something else.
 */
export function asPlan(json: unknown, from: string): Plan {
  const plan = json as Partial<Plan> | null;
  if (typeof plan !== "object" || plan === null || typeof plan.format !== "number") {
    throw new HireError(notAPlan(from, "it has no format number"));
  }
  if (plan.format !== PLAN_FORMAT) {
    throw new HireError({
      code: "HIRE-PLAN-005",
      message: `${from} has plan format ${plan.format}, but this hirec reads format ${PLAN_FORMAT}`,
      fix: `Compile again with this version: hirec compile ${plan.spec ?? "SPEC"}`,
    });
  }
  const { packHash, layers, programs } = plan;
  const isWhole = typeof packHash === "string" && isRecord(layers) && Array.isArray(programs);
  if (!isWhole || !programs.every((program) => isRecord(program) && holdsLayers(program, Object.keys(layers)))) {
    throw new HireError(notAPlan(from, "parts of it are missing"));
  }
  return plan as Plan;
}

function holdsLayers({ layers }: Partial<Program>, names: readonly string[]): boolean {
  return (
    isRecord(layers) &&
    names.every((name) => {
      const kernels: unknown = layers[name]?.kernels;
      return Array.isArray(kernels) && kernels.every((kernel) => isRecord(kernel) && typeof kernel.file === "string");
    })
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function notAPlan(from: string, why: string): Diagnostic {
  return {
    code: "HIRE-PLAN-008",
    message: `${from} is not a hirec plan: ${why}`,
    fix: "Name a folder that `hirec compile` wrote, or a spec",
  };
}
