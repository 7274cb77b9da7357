// What an expression of the spec is worth while it is lowered: known now, or computed by the kernel.

import type {
  ScalarCallee,
  ScalarComparison,
  ScalarCondition,
  ScalarExpression,
  ScalarOperator,
} from "../../runtime/scalar.ts";
import type { FunctionSyntax } from "../load/functions.ts";

export type Value =
  | { readonly kind: "number"; readonly tree: ScalarExpression }
  | { readonly kind: "condition"; readonly tree: ScalarCondition }
  /** Any value of JavaScript: a literal, or what was captured, or what follows from those. */
  | { readonly kind: "known"; readonly value: unknown }
  /** A function that stands in the lowered function itself. */
  | { readonly kind: "closure"; readonly syntax: FunctionSyntax; readonly scope: Scope }
  /** Something wrong that has been reported. */
  | { readonly kind: "wrong" };

/** Names and what they are worth, from the innermost block outwards. */
export interface Scope {
  readonly names: Map<string, Value>;
  readonly outer?: Scope;
  /** The value of a chain that starts outside of the function. @throws whatever reading it throws. */
  readonly capture: (text: string) => unknown;
}

export const WRONG: Value = { kind: "wrong" };

export function known(value: unknown): Value {
  return { kind: "known", value };
}

export function number(tree: ScalarExpression): Value {
  return { kind: "number", tree };
}

export function condition(tree: ScalarCondition | boolean): Value {
  return typeof tree === "boolean" ? known(tree) : { kind: "condition", tree };
}

export function constant(value: number): ScalarExpression {
  const rounded = Math.fround(value);
  if (Number.isFinite(rounded)) return { op: "constant", value: rounded };
  return { op: "constant", value: String(rounded) as "Infinity" | "-Infinity" | "NaN" };
}

export function operation(op: ScalarOperator, left: ScalarExpression, right: ScalarExpression): ScalarExpression {
  return { op, left, right };
}

export function call(callee: ScalarCallee, ...args: readonly ScalarExpression[]): ScalarExpression {
  return { op: "call", function: callee, arguments: args };
}

export function comparison(op: ScalarComparison, left: ScalarExpression, right: ScalarExpression): ScalarCondition {
  // A kernel's compiler may assume that no NaN occurs, so the usual test for it has to be named.
  if ((op === "equal" || op === "notEqual") && JSON.stringify(left) === JSON.stringify(right)) {
    const test: ScalarCondition = { op: "isNaN", of: left };
    return op === "notEqual" ? test : { op: "not", of: test };
  }
  return { op, left, right };
}

export function both(left: ScalarCondition | boolean, right: ScalarCondition | boolean): ScalarCondition | boolean {
  if (typeof left === "boolean") return left && right;
  if (typeof right === "boolean") return right && left;
  return { op: "and", left, right };
}

export function either(left: ScalarCondition | boolean, right: ScalarCondition | boolean): ScalarCondition | boolean {
  if (typeof left === "boolean") return left || right;
  if (typeof right === "boolean") return right || left;
  return { op: "or", left, right };
}

export function not(of: ScalarCondition | boolean): ScalarCondition | boolean {
  return typeof of === "boolean" ? !of : { op: "not", of };
}

/** Whether an expression may stand in several places without being computed several times. */
export function isAtom({ op }: ScalarExpression): boolean {
  return op === "input" || op === "constant" || op === "local";
}
