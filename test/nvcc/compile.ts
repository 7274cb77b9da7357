// What nvcc says of sources, and how that compares with their plans.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { KernelPlan } from "../../runtime/plan.ts";

export const execute = promisify(execFile);

/** Why nothing can be compiled here; undefined where there is nvcc. */
export const missing = await execute("nvcc", ["--version"]).then(
  () => undefined,
  () => "there is no nvcc",
);

/** What ptxas says of a kernel. */
export interface CompiledKernel {
  readonly name: string;
  readonly spilledBytes: number;
  /** Of a thread. */
  readonly registers: number;
  /** Of a block. */
  readonly sharedBytes: number;
}

/** @throws Error with the messages of nvcc, also for warnings. */
export async function compile(
  path: string,
  architecture: string,
): Promise<{ readonly kernels: readonly CompiledKernel[] }> {
  const flags = ["-std=c++17", "-Werror", "all-warnings", "-Xptxas", "-v", "-cubin", `-arch=${architecture}`];
  const { stderr } = await execute("nvcc", [...flags, path, "-o", `${path}.${architecture}.cubin`]);
  const parts = stderr.split("Compiling entry function ").slice(1);
  return {
    kernels: parts.map((part) => ({
      name: part.match(/^'(\w+)'/)![1]!,
      spilledBytes:
        Number(part.match(/(\d+) bytes spill stores/)![1]) + Number(part.match(/(\d+) bytes spill loads/)![1]),
      registers: Number(part.match(/Used (\d+) registers/)![1]),
      sharedBytes: Number(part.match(/(\d+) bytes smem/)?.[1] ?? 0),
    })),
  };
}

/**
 * What a kernel takes other than planned, in words. With no more registers and shared memory than planned, a multiprocessor
 * holds no fewer of its blocks.
 */
export function excessOf({ registers, sharedBytes }: CompiledKernel, plan: KernelPlan): string[] {
  const most = plan.resources!.registers;
  // The plan starts every variable at a multiple of 16.
  const leastBytes = plan.workgroupVariables.reduce((sum, { bytes }) => sum + bytes, 0);
  const isPlanned = leastBytes <= sharedBytes && sharedBytes <= plan.workgroupBytes;
  return [
    ...(registers > most ? [`${plan.name} takes ${registers} registers, planned are at most ${most}`] : []),
    ...(isPlanned
      ? []
      : [
          `${plan.name} takes ${sharedBytes} bytes of shared memory, planned are ${leastBytes} to ${plan.workgroupBytes}`,
        ]),
  ];
}
