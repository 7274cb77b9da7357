// Pass 6. A kernel of the plan becomes source text, through the template of its name in the folder of its target.
// Templates receive names, types, numbers and yes-or-no choices; what is decided is decided before.

import type { KernelPlan, Target } from "../runtime/plan.ts";
import { parameterOf, sharedVariableOf } from "./cuda-declarations.ts";
import { withOptions } from "./render/options.ts";
import { scalarsToCuda } from "./scalar/cuda.ts";
import { scalarsToWgsl } from "./scalar/wgsl.ts";
import { loadTemplates } from "./templates.ts";

/** Where a kernel belongs, for the header of its source. */
export interface KernelPlace {
  readonly spec: string;
  readonly model: string;
  readonly layer: string;
  readonly profile: string;
  readonly target: Target;
}

const cached = new Map<Target, ReturnType<typeof loadTemplates>>();

/** @returns the source of one kernel, ending in a newline. */
export function render(kernel: KernelPlan, place: KernelPlace): string {
  if (!cached.has(place.target)) cached.set(place.target, loadTemplates(place.target));
  const { choices, constants } = kernel;
  const source = cached.get(place.target)!(kernel.template)({
    ...place,
    ...constants,
    ...withOptions(choices),
    kernel: { name: kernel.name },
    name: kernel.name,
    workgroupSize: kernel.workgroupSize,
    stages: kernel.stages.join(" -> "),
    functions: kernel.functions ? FUNCTIONS[place.target](kernel.functions) : "",
    nanKey: choices.int8 === true || choices.bounded === true,
    survivors: choices.fallback ? "exact_survivors" : "survivors",
    ...WORDS[place.target](kernel),
  });
  return `${source.replace(/\n{3,}/g, "\n\n").trimEnd()}\n`;
}

/** Functions of one number, as a kernel's source declares them. */
const FUNCTIONS = { wgsl: scalarsToWgsl, cuda: scalarsToCuda } as const;

/** Where a kernel that quantizes tokens leaves the bits of their largest values. */
const LARGEST_BEHIND_CODES = "token_codes[BATCH * CHUNKS + token].x";

/** What a target's templates call the parts of a plan, and what its choices stand for. */
const WORDS: Readonly<Record<Target, (kernel: KernelPlan) => object>> = {
  wgsl: ({ bindings, workgroupVariables, choices }) => ({
    bindings: bindings.map((binding, index) => ({
      ...binding,
      index,
      space: binding.access === "uniform" ? "uniform" : `storage, ${binding.access}`,
    })),
    workgroupVariables,
    kept: choices.keptInWorkgroup ? "kept" : "survivors",
    activation: choices.staged ? "staged_quad" : "token_quad",
    largestOfToken: choices.quantizesHere ? "atomicLoad(&largest[token])" : LARGEST_BEHIND_CODES,
  }),
  cuda: ({ bindings, workgroupVariables, choices }) => ({
    parameters: bindings.map((binding, index) => ({
      declaration: parameterOf(binding),
      comma: index < bindings.length - 1 ? "," : "",
      note: binding.note,
    })),
    /** To what is `const` and `__restrict__`, a fence of memory means nothing. */
    awaited: bindings.filter(({ access }) => access === "read").map(({ name }) => ({ name })),
    sharedVariables: workgroupVariables.map((variable) => ({ declaration: sharedVariableOf(variable) })),
    activation: choices.staged ? "staged_quad" : "token_quad",
    largestOfToken: choices.quantizesHere ? "largest[token]" : LARGEST_BEHIND_CODES,
    tokenWord: choices.bytes ? "unsigned int" : "uint2",
    levelShift: choices.grouped || choices.bytes ? "" : " >> LEVEL_SHIFT",
    codesType: choices.planes && !choices.main4 ? "uint2" : "uint4",
    activationType: choices.staged ? "float4" : "float",
    readsInputs: !choices.int8 || choices.quantizesHere === true,
    scoredWeights: choices.dense ? "weights" : "codes",
    scoreType: choices.int8 ? "int" : "float",
    scoreArguments: [
      choices.tensorCores ? (choices.split ? "parts + split * BATCH * LANES" : "tile_keys") : "scores",
      choices.dense ? "weights" : "codes",
      ...(choices.low1 || choices.low2 ? ["low_codes"] : []),
      ...(choices.grouped ? ["scales"] : []),
      choices.int8 ? "token_codes" : choices.staged ? "staged" : "x",
    ].join(", "),
  }),
};
