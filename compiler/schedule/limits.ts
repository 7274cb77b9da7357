// What a layer needs, against what a device profile offers.

import type { Diagnostic } from "../../runtime/errors.ts";
import { largestLevel, levelShift } from "../../runtime/pack/code-format.ts";
import type { BufferPlan, KernelPlan, LayerPlan, ScoredMatrixPlan } from "../../runtime/plan.ts";
import { budgetOf, type Profile } from "../profiles.ts";

/** What the parts of a budget are called by those who know the target. */
const WORDS = {
  wgsl: {
    workgroupBytes: "bytes of workgroup memory",
    workgroupSize: "invocations",
    bindings: "storage buffers",
    workgroups: "workgroups",
  },
  cuda: {
    workgroupBytes: "bytes of shared memory",
    workgroupSize: "threads",
    bindings: "parameters",
    workgroups: "blocks",
  },
} as const;

/** @returns HIRE-PLAN-001, -002 and -009, all that apply. */
export function limitProblems(
  name: string,
  layer: LayerPlan,
  buffers: readonly BufferPlan[],
  kernels: readonly KernelPlan[],
  profile: Profile,
): Diagnostic[] {
  const { inputs, estimator } = layer;
  const budget = budgetOf(profile);
  const matrix = estimator.kind === "lowRank" ? estimator.rows : estimator;
  const problems: Diagnostic[] = [];
  if (matrix.kind === "quantized" && matrix.activations === "int8" && largestScore(matrix) > 2 ** 31 - 1) {
    problems.push({
      code: "HIRE-PLAN-002",
      message: `Layer "${name}" is too wide for integer scores: ${inputs} inputs of ${matrix.bits} bits can exceed 32 bits`,
      fix: 'Use quantized({ …, activations: "f32" }), or fewer bits',
    });
  }
  for (const { name: buffer, bytes: whole, slices } of buffers) {
    const bytes = Math.max(...(slices ?? [whole]));
    if (bytes <= budget.bindingBytes) continue;
    problems.push({
      code: "HIRE-PLAN-001",
      message: `Layer "${name}": buffer "${buffer}" has ${bytes} bytes, but ${profile.name} binds at most ${budget.bindingBytes}`,
      fix: "Lower batch, k, candidates or inputs; matrices are sliced over bindings, other buffers and single rows are not",
    });
  }
  const words = WORDS[profile.target];
  for (const each of kernels) {
    const needs = [
      { what: words.workgroupBytes, used: each.workgroupBytes, most: budget.workgroupBytes },
      { what: words.workgroupSize, used: each.workgroupSize, most: budget.workgroupSize },
      { what: words.bindings, used: storageBuffers(each), most: budget.bindings },
      {
        what: words.workgroups,
        used: Math.max(...each.launches.flatMap(({ workgroups }) => workgroups)),
        most: budget.workgroups,
      },
    ];
    for (const { what, used, most } of needs) {
      if (used <= most) continue;
      problems.push({
        code: "HIRE-PLAN-009",
        message: `Kernel ${each.name} needs ${used} ${what}, but ${profile.name} has ${most}`,
        fix: "Lower batch or rows, or compile for another profile",
      });
    }
  }
  return problems;
}

/** Uniforms have a limit of their own, which none comes near. */
function storageBuffers({ bindings }: KernelPlan): number {
  return bindings.filter(({ access }) => access !== "uniform").length;
}

/** The largest magnitude that an integer score can reach, on the way too: codes are the upper bits of a byte until a group ends. */
function largestScore({ bits, group, groups, scaleMax }: ScoredMatrixPlan & { kind: "quantized" }): number {
  const largestOfGroup = group * largestLevel(bits) * 127;
  return largestOfGroup * Math.max(groups * scaleMax, 2 ** levelShift(bits));
}
