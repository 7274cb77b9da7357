// The program of a plan that fits a device, and its kernels as pipelines.

import { HireError, onOneLine, reasonOf } from "../errors.ts";
import { pickProgramOf } from "../model.ts";
import type { KernelPlan, Plan, WgslProgram } from "../plan.ts";
import { STAGE_COMPUTE } from "./constants.ts";

/**
 * The first WGSL program of the plan whose features and limits the device has, or the adapter offers.
 * @param profile takes only the program of this name.
 * @throws HireError HIRE-RUN-006 when there is none, naming what the device lacks.
 */
export function pickProgram(plan: Plan, device: GPUDevice | GPUAdapter, profile?: string): WgslProgram {
  return pickProgramOf(plan, "wgsl", (program) => missingOn(device, program), profile);
}

function missingOn(device: GPUDevice | GPUAdapter, { features, limits }: WgslProgram): string[] {
  const missing = features.filter((feature) => !device.features.has(feature)).map((feature) => `feature ${feature}`);
  for (const [name, wanted] of Object.entries(limits)) {
    const offered = (device.limits as unknown as Record<string, number>)[name] ?? 0;
    if (offered < wanted) missing.push(`${name} ${wanted} (it has ${offered})`);
  }
  return missing;
}

/** A kernel that is ready to be encoded. */
export interface CompiledKernel {
  readonly plan: KernelPlan;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

const BUFFER_TYPES = { read: "read-only-storage", read_write: "storage", uniform: "uniform" } as const;

/**
 * @throws HireError HIRE-RUN-003 when the device refuses the source, naming kernel, file and line.
 */
export async function compileKernel(device: GPUDevice, plan: KernelPlan, source: string): Promise<CompiledKernel> {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label: plan.name, code: source });
  // The layout is stated from the plan, not derived from the source, so that a difference between them is refused.
  const layout = device.createBindGroupLayout({
    label: plan.name,
    entries: plan.bindings.map(({ access }, binding) => ({
      binding,
      visibility: STAGE_COMPUTE,
      buffer: { type: BUFFER_TYPES[access] },
    })),
  });
  // Closed before anything is awaited: error scopes are a stack that all users of the device share.
  const scope = device.popErrorScope();
  const { messages } = await module.getCompilationInfo();
  const broken = messages.find(({ type }) => type === "error");
  const refused = await scope;
  if (broken) {
    const line = source.split("\n")[broken.lineNum - 1]?.trim() ?? "";
    throw kernelRefused(plan, `line ${broken.lineNum}: ${broken.message} in \`${line}\``);
  }
  if (refused) throw kernelRefused(plan, refused.message);
  try {
    const pipeline = await device.createComputePipelineAsync({
      label: plan.name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: plan.name },
    });
    return { plan, pipeline, layout };
  } catch (thrown) {
    throw kernelRefused(plan, reasonOf(thrown), thrown);
  }
}

function kernelRefused({ name, file }: KernelPlan, why: string, cause?: unknown): HireError {
  return new HireError(
    {
      code: "HIRE-RUN-003",
      message: `The device refuses kernel ${name} (${file}): ${onOneLine(why)}`,
      fix: "If the file was edited, compile again; otherwise report it with the output of hirec doctor",
    },
    { cause },
  );
}
