// What a plan declares, as CUDA C++ says it: a binding is a parameter, a workgroup variable is shared memory.

import type { BindingPlan, KernelPlan } from "../runtime/plan.ts";

const TYPES: Readonly<Record<string, string>> = {
  f32: "float",
  u32: "unsigned int",
  i32: "int",
  // CUDA's atomics work on ordinary variables.
  "atomic<u32>": "unsigned int",
  "vec2<u32>": "uint2",
  "vec2<f32>": "float2",
  "vec3<u32>": "uint3",
  "vec4<u32>": "uint4",
  "vec4<f32>": "float4",
};

/**
 * `__restrict__` holds because no buffer is bound twice; with `const` it lets loads go through the read-only cache (CUDA
 * C++ Programming Guide, "Read-Only Data Cache Load Function").
 */
export function parameterOf({ name, access, type }: BindingPlan): string {
  const { element } = arrayOf(type);
  return `${access === "read" ? "const " : ""}${typeOf(element)}* __restrict__ ${name}`;
}

export function sharedVariableOf({ name, type }: KernelPlan["workgroupVariables"][number]): string {
  const { element, count } = arrayOf(type);
  return `${typeOf(element)} ${name}${count === undefined ? "" : `[${count}]`}`;
}

function arrayOf(type: string): { readonly element: string; readonly count?: string } {
  const [, element, count] = type.match(/^array<(.+?)(?:, (\d+))?>$/) ?? [undefined, type];
  return count === undefined ? { element: element! } : { element: element!, count };
}

function typeOf(type: string): string {
  const name = TYPES[type];
  if (name === undefined) throw new Error(`CUDA has no type for ${type}`);
  return name;
}
