// WGSL, read by wgsl_reflect.

import { type Node as AstNode, WgslParser, WgslReflect } from "wgsl_reflect/wgsl_reflect.module.js";
import type { KernelPlan } from "../../runtime/plan.ts";
import type { Interface } from "../verify.ts";

export function plannedWgsl(kernel: KernelPlan): Interface {
  return {
    entries: [kernel.name],
    workgroupSize: String(kernel.workgroupSize),
    bindings: kernel.bindings.map(({ name, access, type }, index) => `0.${index} ${access} ${name}: ${type}`),
    workgroupVariables: kernel.workgroupVariables.map(({ name, type }) => `${name}: ${type}`),
  };
}

export function readWgsl(source: string): Interface {
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
