// What a layer needs, against what a device profile offers.

import type { Diagnostic } from "../../runtime/errors.ts";
import type { BufferPlan, KernelPlan, SoftmaxPlan } from "../../runtime/plan.ts";
import type { Profile } from "../profiles.ts";

/** @returns HIRE-PLAN-001, -002 and -009, all that apply. */
export function limitProblems(
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
  for (const { name: buffer, bytes: whole, slices } of buffers) {
    const bytes = Math.max(...(slices ?? [whole]));
    if (bytes <= limits.maxStorageBufferBindingSize) continue;
    problems.push({
      code: "HIRE-PLAN-001",
      message: `Layer "${name}": buffer "${buffer}" has ${bytes} bytes, but ${profile} binds at most ${limits.maxStorageBufferBindingSize}`,
      fix: "Lower batch, k, candidates or inputs; matrices are sliced over bindings, other buffers and single rows are not",
    });
  }
  for (const each of kernels) {
    const needs = [
      { what: "bytes of workgroup memory", used: each.workgroupBytes, most: limits.maxComputeWorkgroupStorageSize },
      { what: "invocations", used: each.workgroupSize, most: limits.maxComputeInvocationsPerWorkgroup },
      { what: "storage buffers", used: each.bindings.length, most: limits.maxStorageBuffersPerShaderStage },
      {
        what: "workgroups",
        used: Math.max(...each.launches.flatMap(({ workgroups }) => workgroups)),
        most: limits.maxComputeWorkgroupsPerDimension,
      },
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
