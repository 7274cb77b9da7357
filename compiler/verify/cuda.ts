// CUDA C++, read by the few forms that templates/cuda uses for what the plan decides. It is no parser of C++; that the
// rest compiles is what nvcc and g++ say (test/nvcc, test/cuda-host).

import type { KernelPlan } from "../../runtime/plan.ts";
import { parameterOf, sharedVariableOf } from "../cuda-declarations.ts";
import type { Interface } from "../verify.ts";

const KERNEL = /extern "C" __global__ void __launch_bounds__\((\d+), \d+\) (\w+)\(([^)]*)\) \{/g;
const SHARED = /\b__shared__ ([^;=]+);/g;

export function plannedCuda(kernel: KernelPlan): Interface {
  return {
    entries: [kernel.name],
    workgroupSize: String(kernel.workgroupSize),
    bindings: kernel.bindings.map(parameterOf),
    workgroupVariables: kernel.workgroupVariables.map(sharedVariableOf),
  };
}

/** @throws Error when a kernel or shared memory is declared in another form. */
export function readCuda(source: string): Interface {
  const code = source.replace(/\/\/.*/g, "").replace(/\s+/g, " ");
  const kernels = [...code.matchAll(KERNEL)];
  const variables = [...code.matchAll(SHARED)];
  for (const [word, found] of [
    ["__global__", kernels],
    ["__shared__", variables],
  ] as const) {
    const uses = code.split(word).length - 1;
    if (uses !== found.length) throw new Error(`${word} occurs ${uses} times, ${found.length} of them as expected`);
  }
  return {
    entries: kernels.map(([, , name]) => name!),
    workgroupSize: kernels.map(([, size]) => size).join(),
    bindings: kernels.flatMap(([, , , parameters]) => parameters!.split(",").map((each) => each.trim())),
    workgroupVariables: variables.map(([, declaration]) => declaration!),
  };
}
