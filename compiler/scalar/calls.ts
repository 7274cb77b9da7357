// Calls: of Math, and of helpers, which are inlined.

import { ts } from "ts-morph";
import type { ScalarExpression } from "../../runtime/scalar.ts";
import { toNumber } from "./expressions.ts";
import { type Lowering, shortText } from "./lower.ts";
import { IDENTITIES, MATH, type MathFunction, TESTS } from "./math.ts";
import { power } from "./power.ts";
import { call, condition, known, number, type Scope, type Value, WRONG } from "./values.ts";

export function lowerCall(lowering: Lowering, node: ts.CallExpression, scope: Scope): Value {
  const callee = lowering.expression(node.expression, scope);
  const args = node.arguments.map((argument) => lowering.expression(argument, scope));
  if (callee.kind === "wrong" || args.some(({ kind }) => kind === "wrong")) return WRONG;
  const name = shortText(node.expression);
  if (callee.kind === "closure") {
    return lowering.inlined({ ...callee, hasPlaces: lowering.hasPlaces }, bound(lowering, callee.syntax, args), node);
  }
  if (callee.kind !== "known" || typeof callee.value !== "function") {
    return lowering.refuse(node, { why: `${name} is not a function`, fix: "Call functions only" });
  }
  const math = MATH.get(callee.value);
  if (math) return lowerMath(lowering, math, args, node);
  const isOfNumbers = args.every(
    ({ kind, ...arg }) => kind === "number" || typeof (arg as { value?: unknown }).value === "number",
  );
  const test = TESTS.get(callee.value);
  if ((test || IDENTITIES.has(callee.value)) && args.length === 1 && isOfNumbers) {
    const [arg] = args;
    if (arg!.kind === "known") return known((callee.value as (value: unknown) => unknown)(arg!.value));
    if (!test) return arg!;
    const tree = toNumber(lowering, arg!, node.arguments[0]!);
    return tree ? condition({ op: test, of: tree }) : WRONG;
  }
  const source = lowering.sourceOf(callee.value);
  if (source) return lowering.inlined(source, bound(lowering, source.syntax, args), node);
  return lowering.refuse(node, {
    why: `kernels have no ${name}`,
    fix: "Use arithmetic and the functions of Math, but for random and those of integers, or a function of the spec",
  });
}

/** Arguments that are used more than once must not be computed more than once. */
function bound(lowering: Lowering, { parameters }: ts.SignatureDeclaration, args: readonly Value[]): Value[] {
  return args.map((arg, i) => {
    const name = parameters[i]?.name;
    if (arg.kind !== "number" || !name || !ts.isIdentifier(name)) return arg;
    return number(lowering.local(name.text, arg.tree, false));
  });
}

function lowerMath(
  lowering: Lowering,
  { callee, takes }: MathFunction,
  args: readonly Value[],
  node: ts.CallExpression,
): Value {
  const values = args.map((arg) => (arg.kind === "known" ? arg.value : undefined));
  if (values.every((value) => typeof value === "number")) {
    return known((Math[callee] as (...numbers: number[]) => number)(...(values as number[])));
  }
  if (takes !== "any" && args.length < takes) {
    return lowering.refuse(node, {
      why: `${callee} takes ${takes === 1 ? "a number" : "two numbers"}`,
      fix: "Give it the numbers that it takes",
    });
  }
  if (callee === "pow") return power(lowering, args[0]!, args[1]!, node);
  const taken = takes === "any" ? args : args.slice(0, takes);
  const trees = taken.map((arg, i) => toNumber(lowering, arg, node.arguments[i]!));
  if (trees.includes(undefined)) return WRONG;
  const numbers = trees as ScalarExpression[];
  if (takes !== "any") return number(call(callee, ...numbers));
  const [only, ...others] = numbers;
  if (others.length === 0) return number(callee === "hypot" ? call("abs", only!) : only!);
  return number(others.reduce((sum, next) => call(callee, sum, next), only!));
}
