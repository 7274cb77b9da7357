// A device for a compiled model: with what the best profile needs that the adapter has.

import { HireError, reasonOf } from "../errors.ts";
import type { Plan } from "../plan.ts";
import { noSecureContext } from "../secure-context.ts";
import { pickProgram } from "./program.ts";

export interface DeviceOptions extends GPURequestAdapterOptions {
  /** Default: that of the page or worker. */
  readonly gpu?: GPU;
  /** Asks for what this profile needs, instead of the best one. */
  readonly profile?: string;
  /** What the page's other code needs of the device. */
  readonly requiredFeatures?: readonly GPUFeatureName[];
  readonly requiredLimits?: Readonly<Record<string, number>>;
}

/**
 * @returns a device that is the caller's, to share with other code and to destroy.
 * @throws HireError HIRE-RUN-001 when there is no WebGPU, no adapter or no device, HIRE-RUN-006 when the adapter suits no
 * program of the plan, HIRE-RUN-022 in a page that is no secure context.
 */
export async function requestDevice(
  plan: Plan,
  { gpu, profile, requiredFeatures = [], requiredLimits = {}, ...rest }: DeviceOptions = {},
): Promise<GPUDevice> {
  const adapter = await requestAdapter(rest, gpu);
  const { requiredFeatures: features, requiredLimits: limits } = deviceDescriptor(plan, adapter, profile);
  const descriptor = {
    label: plan.model,
    requiredFeatures: [...new Set([...features, ...requiredFeatures])],
    requiredLimits: larger(limits, requiredLimits),
  };
  try {
    return await adapter.requestDevice(descriptor);
  } catch (thrown) {
    throw new HireError(
      {
        code: "HIRE-RUN-001",
        message: `The adapter gives no device: ${reasonOf(thrown)}`,
        fix: "Ask for features and limits that the adapter has, and update the GPU's driver",
      },
      { cause: thrown },
    );
  }
}

/**
 * @param gpu default: that of the page or worker.
 * @throws HireError HIRE-RUN-001 when there is no WebGPU or no adapter, HIRE-RUN-022 in a page that is no secure context.
 */
export async function requestAdapter(
  options: GPURequestAdapterOptions,
  gpu: GPU | undefined = globalThis.navigator?.gpu,
): Promise<GPUAdapter> {
  if (!gpu) throw noWebGpu();
  const adapter = await gpu.requestAdapter(options);
  if (adapter) return adapter;
  throw new HireError({
    code: "HIRE-RUN-001",
    message: "WebGPU offers no adapter here: the browser does not trust the GPU's driver, or there is no GPU",
    fix: "Switch on hardware acceleration and update the driver; the browser's page about its GPU, such as chrome://gpu, says more",
  });
}

/**
 * What the best profile of a plan that an adapter can run asks of its device; for a page that requests the device itself.
 * @throws HireError HIRE-RUN-006 when the adapter suits none.
 */
export function deviceDescriptor(plan: Plan, adapter: GPUAdapter, profile?: string) {
  const { features, limits } = pickProgram(plan, adapter, profile);
  return { requiredFeatures: features as readonly GPUFeatureName[], requiredLimits: limits };
}

function larger(one: Readonly<Record<string, number>>, other: Readonly<Record<string, number>>) {
  const names = Object.keys({ ...one, ...other });
  return Object.fromEntries(names.map((name) => [name, Math.max(one[name] ?? 0, other[name] ?? 0)]));
}

function noWebGpu(): HireError {
  if (globalThis.isSecureContext === false) return noSecureContext();
  return new HireError({
    code: "HIRE-RUN-001",
    message: "There is no WebGPU here",
    fix: "Use a browser that has it: caniuse.com/webgpu says which; in Node, requestNodeDevice gives a device",
  });
}
