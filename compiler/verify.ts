// Pass 7. What was rendered is read back and compared with the plan: a template and the plan cannot drift apart unseen.

import { HireError, reasonOf } from "../runtime/errors.ts";
import type { KernelPlan, Target } from "../runtime/plan.ts";
import { plannedCuda, readCuda } from "./verify/cuda.ts";
import { plannedWgsl, readWgsl } from "./verify/wgsl.ts";

/** What a source declares, and what the plan says of it, in the same form. */
export interface Interface {
  readonly entries: readonly string[];
  readonly workgroupSize: string;
  readonly bindings: readonly string[];
  readonly workgroupVariables: readonly string[];
}

interface Check {
  /** @throws anything when the source does not parse. */
  readonly read: (source: string) => Interface;
  readonly planned: (kernel: KernelPlan) => Interface;
}

const CHECKS: Readonly<Record<Target, Check>> = {
  wgsl: { read: readWgsl, planned: plannedWgsl },
  cuda: { read: readCuda, planned: plannedCuda },
};

/** Stands for a kernel's name while its source is read. */
const ENTRY = "the_kernel";

/** What sources declare, by target and code. */
const known = new Map<string, Interface>();

/** Layers of one shape have one code but for names and comments, and parsing is what takes the time of large models. */
function readOnce(target: Target, name: string, source: string): Interface {
  const code = source.replaceAll(/\/\/.*/g, "").replaceAll(name, ENTRY);
  const key = `${target} ${code}`;
  const declared = known.get(key) ?? CHECKS[target].read(code);
  known.set(key, declared);
  return declared;
}

/**
 * @throws HireError HIRE-PLAN-003 when entry point, bindings, workgroup size or workgroup memory differ from the plan, or
 * the source does not parse. It is a bug in hirec; no spec should be able to cause it.
 */
export function verify(kernel: KernelPlan, target: Target, source: string): void {
  let declared: Interface;
  try {
    declared = readOnce(target, kernel.name, source);
  } catch (thrown) {
    throw disagreement(kernel, `it does not parse: ${reasonOf(thrown)}`);
  }
  const planned = CHECKS[target].planned(kernel);
  for (const part of ["entries", "workgroupSize", "bindings", "workgroupVariables"] as const) {
    const [found, expected] = [String(declared[part]).replaceAll(ENTRY, kernel.name), String(planned[part])];
    if (found !== expected) throw disagreement(kernel, `its ${part} are ${found}, planned are ${expected}`);
  }
}

function disagreement(kernel: KernelPlan, why: string): HireError {
  return new HireError({
    code: "HIRE-PLAN-003",
    message: `The source of kernel ${kernel.name} does not match its plan: ${why}`,
    fix: "This is a bug in hirec; please report it with the spec",
  });
}
