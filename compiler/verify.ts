// Pass 7. What was rendered is read back and compared with the plan: a template and the plan cannot drift apart unseen.

import { type Node as AstNode, WgslParser, WgslReflect } from "wgsl_reflect/wgsl_reflect.module.js";
import { HireError, reasonOf } from "../runtime/errors.ts";
import type { KernelPlan } from "../runtime/plan.ts";

/** What a source declares, and what the plan says of it, in the same form. */
interface Interface {
  readonly entries: readonly string[];
  readonly workgroupSize: string;
  readonly bindings: readonly string[];
  readonly workgroupVariables: readonly string[];
}

/**
 * @throws HireError HIRE-PLAN-003 when entry point, bindings, workgroup size or workgroup memory differ from the plan, or
 * the source does not parse. It is a bug in hirec; no spec should be able to cause it.
 */
export function verify(kernel: KernelPlan, source: string): void {
  let declared: Interface;
  try {
    declared = readInterface(source);
  } catch (thrown) {
    throw disagreement(kernel, `it does not parse: ${reasonOf(thrown)}`);
  }
  const planned = plannedInterface(kernel);
  for (const part of ["entries", "workgroupSize", "bindings", "workgroupVariables"] as const) {
    const [found, expected] = [String(declared[part]), String(planned[part])];
    if (found !== expected) throw disagreement(kernel, `its ${part} are ${found}, planned are ${expected}`);
  }
}

function plannedInterface(kernel: KernelPlan): Interface {
  return {
    entries: [kernel.name],
    workgroupSize: String(kernel.workgroupSize),
    bindings: kernel.bindings.map(({ name, access, type }, index) => `0.${index} ${access} ${name}: ${type}`),
    workgroupVariables: kernel.workgroupVariables.map(({ name, type }) => `${name}: ${type}`),
  };
}

function readInterface(source: string): Interface {
  const syntax = new WgslParser().parse(source);
  const reflection = new WgslReflect();
  reflection.updateAST(syntax);
  const entries = reflection.entry.compute;
  const size = entries[0]?.attributes?.find(({ name }) => name === "workgroup_size")?.value;
  const variables = (syntax as unknown as VariableNode[]).filter(({ storage }) => storage);
  return {
    entries: entries.map(({ name }) => name),
    workgroupSize: String(size),
    bindings: variables
      .filter(({ storage }) => storage !== "workgroup")
      .map((node) => {
        const bound = [...reflection.storage, ...reflection.uniforms].find(({ name }) => name === node.name)!;
        const { group, binding } = bound;
        const access = node.storage === "uniform" ? "uniform" : bound.access;
        return `${group}.${binding} ${access} ${node.name}: ${typeText(node.type)}`;
      }),
    workgroupVariables: variables
      .filter(({ storage }) => storage === "workgroup")
      .map((node) => `${node.name}: ${typeText(node.type)}`),
  };
}

/** The parts of wgsl_reflect's syntax tree that are read here. */
interface VariableNode extends AstNode {
  readonly name: string;
  readonly storage?: string;
  readonly type: TypeNode;
}

interface TypeNode {
  readonly name: string;
  readonly format?: TypeNode | null;
  readonly count?: number;
}

function typeText({ name, format, count }: TypeNode): string {
  if (!format) return name;
  return `${name}<${typeText(format)}${count ? `, ${count}` : ""}>`;
}

function disagreement(kernel: KernelPlan, why: string): HireError {
  return new HireError({
    code: "HIRE-PLAN-003",
    message: `The source of kernel ${kernel.name} does not match its plan: ${why}`,
    fix: "This is a bug in hirec; please report it with the spec",
  });
}
