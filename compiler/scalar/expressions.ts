// Expressions of a function, one kind after another.

import { ts } from "ts-morph";
import type { ScalarComparison, ScalarCondition, ScalarExpression, ScalarOperator } from "../../runtime/scalar.ts";
import { show } from "../check/show.ts";
import { isChain, rootOf } from "../load/functions.ts";
import { lowerCall } from "./calls.ts";
import { type Lowering, shortText } from "./lower.ts";
import { power } from "./power.ts";
import {
  both,
  comparison,
  condition,
  constant,
  either,
  known,
  not,
  number,
  operation,
  type Scope,
  type Value,
  WRONG,
} from "./values.ts";

const { SyntaxKind } = ts;

const ARITHMETIC: ReadonlyMap<ts.SyntaxKind, ScalarOperator> = new Map([
  [SyntaxKind.PlusToken, "add"],
  [SyntaxKind.MinusToken, "subtract"],
  [SyntaxKind.AsteriskToken, "multiply"],
  [SyntaxKind.SlashToken, "divide"],
  [SyntaxKind.PercentToken, "remainder"],
]);

const COMPARISONS: ReadonlyMap<ts.SyntaxKind, ScalarComparison> = new Map([
  [SyntaxKind.LessThanToken, "less"],
  [SyntaxKind.LessThanEqualsToken, "lessOrEqual"],
  [SyntaxKind.GreaterThanToken, "greater"],
  [SyntaxKind.GreaterThanEqualsToken, "greaterOrEqual"],
  [SyntaxKind.EqualsEqualsToken, "equal"],
  [SyntaxKind.EqualsEqualsEqualsToken, "equal"],
  [SyntaxKind.ExclamationEqualsToken, "notEqual"],
  [SyntaxKind.ExclamationEqualsEqualsToken, "notEqual"],
]);

/** What JavaScript computes when both sides are known. */
const KNOWN: Readonly<Record<ScalarOperator | ScalarComparison, (left: number, right: number) => unknown>> = {
  add: (left, right) => left + right,
  subtract: (left, right) => left - right,
  multiply: (left, right) => left * right,
  divide: (left, right) => left / right,
  remainder: (left, right) => left % right,
  less: (left, right) => left < right,
  lessOrEqual: (left, right) => left <= right,
  greater: (left, right) => left > right,
  greaterOrEqual: (left, right) => left >= right,
  equal: (left, right) => left === right,
  notEqual: (left, right) => left !== right,
};

export function lowerExpression(lowering: Lowering, node: ts.Expression, scope: Scope): Value {
  const literal = literalOf(node);
  if (literal) return literal;
  if (isChain(node)) return lowerChain(lowering, node, scope);
  if (
    ts.isParenthesizedExpression(node) ||
    ts.isAsExpression(node) ||
    ts.isSatisfiesExpression(node) ||
    ts.isNonNullExpression(node) ||
    ts.isTypeAssertionExpression(node)
  ) {
    return lowering.expression(node.expression, scope);
  }
  if (ts.isPrefixUnaryExpression(node)) return lowerUnary(lowering, node, scope);
  if (ts.isBinaryExpression(node)) return lowerBinary(lowering, node, scope);
  if (ts.isConditionalExpression(node)) return lowerConditional(lowering, node, scope);
  if (ts.isCallExpression(node)) return lowerCall(lowering, node, scope);
  if (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) return { kind: "closure", syntax: node, scope };
  if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.name)) {
    return propertyOf(lowering, lowering.expression(node.expression, scope), node.name.text, node);
  }
  if (ts.isElementAccessExpression(node)) return lowerElement(lowering, node, scope);
  if (ts.isTypeOfExpression(node)) return lowerTypeOf(lowering, node, scope);
  return lowering.refuse(node);
}

function literalOf(node: ts.Expression): Value | undefined {
  if (ts.isNumericLiteral(node)) return known(Number(node.text));
  if (ts.isStringLiteralLike(node)) return known(node.text);
  if (node.kind === SyntaxKind.TrueKeyword) return known(true);
  if (node.kind === SyntaxKind.FalseKeyword) return known(false);
  return node.kind === SyntaxKind.NullKeyword ? known(null) : undefined;
}

/** A name, or properties of one: of this function, or captured from outside of it. */
function lowerChain(lowering: Lowering, node: ts.Expression, scope: Scope): Value {
  const root = rootOf(node).text;
  for (let at: Scope | undefined = scope; at; at = at.outer) {
    const value = at.names.get(root);
    if (!value) continue;
    if (ts.isIdentifier(node)) return value;
    const { expression } = node as ts.PropertyAccessExpression | ts.ElementAccessExpression | ts.NonNullExpression;
    const object = lowering.expression(expression, scope);
    if (ts.isNonNullExpression(node)) return object;
    return propertyOf(lowering, object, lastName(node), node);
  }
  try {
    return known(scope.capture(node.getText()));
  } catch (thrown) {
    return lowering.refuse(node, {
      why: thrown instanceof Error ? thrown.message : String(thrown),
      fix: "Use the parameter, or numbers that have their value when the spec has run",
    });
  }
}

function lastName(node: ts.Expression): string {
  if (ts.isPropertyAccessExpression(node)) return node.name.text;
  return ((node as ts.ElementAccessExpression).argumentExpression as ts.StringLiteral).text;
}

function propertyOf(lowering: Lowering, object: Value, name: string, node: ts.Expression): Value {
  if (object.kind === "wrong") return WRONG;
  const hasProperties = object.kind === "known" && object.value !== undefined && object.value !== null;
  if (hasProperties) return known((object.value as Record<string, unknown>)[name]);
  return lowering.refuse(node, {
    why: "only what is known at compile time has properties",
    fix: "Use numbers, constants and Math",
  });
}

function lowerElement(lowering: Lowering, node: ts.ElementAccessExpression, scope: Scope): Value {
  const object = lowering.expression(node.expression, scope);
  const index = lowering.expression(node.argumentExpression, scope);
  if (object.kind === "wrong" || index.kind === "wrong") return WRONG;
  if (index.kind === "known" && (typeof index.value === "number" || typeof index.value === "string")) {
    return propertyOf(lowering, object, String(index.value), node);
  }
  return lowering.refuse(node, {
    why: "the index is known only when the kernel runs",
    fix: "Use an index that is known at compile time, or choose with a ? b : c",
  });
}

function lowerTypeOf(lowering: Lowering, node: ts.TypeOfExpression, scope: Scope): Value {
  const value = lowering.expression(node.expression, scope);
  switch (value.kind) {
    case "known":
      return known(typeof value.value);
    case "number":
      return known("number");
    case "condition":
      return known("boolean");
    case "closure":
      return known("function");
    default:
      return WRONG;
  }
}

function lowerUnary(lowering: Lowering, node: ts.PrefixUnaryExpression, scope: Scope): Value {
  const { operator, operand } = node;
  if (operator === SyntaxKind.ExclamationToken) {
    const test = toCondition(lowering, lowering.expression(operand, scope), operand);
    return test === undefined ? WRONG : condition(not(test));
  }
  if (operator !== SyntaxKind.MinusToken && operator !== SyntaxKind.PlusToken) return lowering.refuse(node);
  const value = lowering.expression(operand, scope);
  const sign = operator === SyntaxKind.MinusToken ? -1 : 1;
  if (value.kind === "known" && typeof value.value === "number") return known(sign * value.value);
  const tree = toNumber(lowering, value, operand);
  if (!tree) return WRONG;
  return number(sign === 1 ? tree : { op: "negate", of: tree });
}

function lowerBinary(lowering: Lowering, node: ts.BinaryExpression, scope: Scope): Value {
  const { left, operatorToken, right } = node;
  const { kind } = operatorToken;
  if (kind === SyntaxKind.AmpersandAmpersandToken || kind === SyntaxKind.BarBarToken) {
    return lowerLogical(lowering, node, scope);
  }
  if (kind === SyntaxKind.QuestionQuestionToken) {
    const value = lowering.expression(left, scope);
    const isMissing = value.kind === "known" && (value.value === undefined || value.value === null);
    return isMissing ? lowering.expression(right, scope) : value;
  }
  const compare = COMPARISONS.get(kind);
  const arithmetic = ARITHMETIC.get(kind);
  if (!compare && !arithmetic && kind !== SyntaxKind.AsteriskAsteriskToken) return lowering.refuse(node);
  const [a, b] = [lowering.expression(left, scope), lowering.expression(right, scope)];
  if (a.kind === "wrong" || b.kind === "wrong") return WRONG;
  if (compare === "equal" || compare === "notEqual") {
    const same = equality(a, b, kind);
    if (same !== undefined) return known(same === (compare === "equal"));
  }
  if (a.kind === "known" && b.kind === "known" && typeof a.value === "number" && typeof b.value === "number") {
    const op = compare ?? arithmetic;
    return known(op ? KNOWN[op](a.value, b.value) : a.value ** b.value);
  }
  if (kind === SyntaxKind.AsteriskAsteriskToken) return power(lowering, a, b, node);
  const [x, y] = [toNumber(lowering, a, left), toNumber(lowering, b, right)];
  if (!x || !y) return WRONG;
  return compare ? condition(comparison(compare, x, y)) : number(operation(arithmetic!, x, y));
}

/** Whether two values are equal, where that is known; the kernel compares numbers only. */
function equality(a: Value, b: Value, operator: ts.SyntaxKind): boolean | undefined {
  const isLoose = operator === SyntaxKind.EqualsEqualsToken || operator === SyntaxKind.ExclamationEqualsToken;
  if (a.kind === "known" && b.kind === "known") {
    // biome-ignore lint/suspicious/noDoubleEquals: this is what the spec says.
    return isLoose ? a.value == b.value : a.value === b.value;
  }
  const [one, other] = a.kind === "known" ? [a, b] : b.kind === "known" ? [b, a] : [];
  if (other?.kind !== "number") return undefined;
  const { value } = one as { readonly value: unknown };
  if (value === undefined || value === null) return false;
  return !isLoose && typeof value !== "number" ? false : undefined;
}

function lowerLogical(lowering: Lowering, node: ts.BinaryExpression, scope: Scope): Value {
  const isAnd = node.operatorToken.kind === SyntaxKind.AmpersandAmpersandToken;
  const left = lowering.expression(node.left, scope);
  // JavaScript gives back the side that decided, of whatever type.
  if (left.kind === "known") return Boolean(left.value) === isAnd ? lowering.expression(node.right, scope) : left;
  const right = lowering.expression(node.right, scope);
  const [a, b] = [toCondition(lowering, left, node.left), toCondition(lowering, right, node.right)];
  if (a === undefined || b === undefined) return WRONG;
  return condition(isAnd ? both(a, b) : either(a, b));
}

function lowerConditional(lowering: Lowering, node: ts.ConditionalExpression, scope: Scope): Value {
  const test = toCondition(lowering, lowering.expression(node.condition, scope), node.condition);
  if (typeof test === "boolean") return lowering.expression(test ? node.whenTrue : node.whenFalse, scope);
  const [yes, no] = [lowering.expression(node.whenTrue, scope), lowering.expression(node.whenFalse, scope)];
  return test ? select(lowering, test, yes, no, node) : WRONG;
}

/** One value or the other, by a condition that only the kernel knows. */
export function select(lowering: Lowering, test: ScalarCondition, yes: Value, no: Value, node: ts.Node): Value {
  if (yes.kind === "wrong" || no.kind === "wrong") return WRONG;
  const isCondition = (value: Value) =>
    value.kind === "condition" || (value.kind === "known" && typeof value.value === "boolean");
  if (isCondition(yes) && isCondition(no)) {
    const [a, b] = [toCondition(lowering, yes, node), toCondition(lowering, no, node)];
    return condition(either(both(test, a!), both(not(test), b!)));
  }
  const [then, otherwise] = [toNumber(lowering, yes, node), toNumber(lowering, no, node)];
  if (!then || !otherwise) return WRONG;
  return number({ op: "select", condition: test, then, else: otherwise });
}

/** A value as a number of the kernel; undefined when it is none, which has been reported then. */
export function toNumber(lowering: Lowering, value: Value, node: ts.Node): ScalarExpression | undefined {
  switch (value.kind) {
    case "number":
      return value.tree;
    case "wrong":
      return undefined;
    case "known":
      if (typeof value.value === "number") return toConstant(lowering, value.value, node);
      lowering.refuse(node, { why: `it is ${show(value.value)}, not a number`, fix: "Use a number" });
      return undefined;
    case "condition":
      lowering.refuse(node, { why: "it is a condition, not a number", fix: "Choose numbers by it: condition ? 1 : 0" });
      return undefined;
    case "closure":
      lowering.refuse(node, { why: "it is a function, not a number", fix: "Call it" });
      return undefined;
  }
}

function toConstant(lowering: Lowering, value: number, node: ts.Node): ScalarExpression | undefined {
  const magnitude = Math.abs(value);
  // A magnitude below 2^-126 may count as 0 on a device; a finite one that f32 rounds to infinity is another number.
  const fits =
    !Number.isFinite(value) || value === 0 || (magnitude >= 2 ** -126 && Number.isFinite(Math.fround(value)));
  if (fits) return constant(value);
  const why = magnitude < 1 ? "is too small for" : "is too large for";
  lowering.refuse(node, {
    why: `${show(value)} ${why} the f32 of a kernel`,
    fix: "Use a magnitude from 1.2e-38 to 3.4e38, 0 or Infinity",
  });
  return undefined;
}

/** A value as a condition; undefined when it is none, which has been reported then. */
export function toCondition(lowering: Lowering, value: Value, node: ts.Node): ScalarCondition | boolean | undefined {
  switch (value.kind) {
    case "condition":
      return value.tree;
    case "known":
      return Boolean(value.value);
    case "closure":
      return true;
    case "wrong":
      return undefined;
    case "number":
      lowering.refuse(node, {
        why: "it is a number where a condition is needed",
        fix: `Compare it: ${shortText(node)} !== 0`,
      });
      return undefined;
  }
}
