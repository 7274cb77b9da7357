// What TypeScript can say and a kernel cannot, in words.

import { ts } from "ts-morph";

export interface Refusal {
  readonly why: string;
  readonly fix: string;
}

const LOOP: Refusal = {
  why: "a kernel's function has no loops",
  fix: "Write the steps out, or compute what does not depend on the parameter outside of the function",
};
const CHANGE: Refusal = {
  why: "nothing can be changed in a kernel's function",
  fix: "Give the new value a name of its own with const, or choose with a ? b : c",
};
const BITS: Refusal = {
  why: "it works on the bits of an integer, and these are floats",
  fix: "Use + - * / % and Math, such as Math.floor or Math.trunc",
};
const TEXT: Refusal = { why: "it is text", fix: "Use numbers only" };
const STATE: Refusal = {
  why: "a kernel's function has no this",
  fix: "Use the parameter, constants and numbers from outside of the function",
};
const LATER: Refusal = {
  why: "a kernel's function waits for nothing",
  fix: "Compute it outside of the function, and use the resulting number",
};
const OBJECT: Refusal = {
  why: "a kernel's function makes no objects",
  fix: "Compute a number from the parameter, constants and Math",
};
const EXCEPTION: Refusal = {
  why: "a kernel's function throws nothing",
  fix: "Return a number for every parameter, such as NaN",
};
const CHOICE: Refusal = {
  why: "a kernel's function chooses with conditions only",
  fix: "Use if and return, or a ? b : c",
};
const OTHER: Refusal = {
  why: "a kernel's function computes a number from a number",
  fix: "Use arithmetic, comparisons, ?:, const, if with return, Math, and numbers from outside of the function",
};

const { SyntaxKind } = ts;

const REFUSALS: ReadonlyMap<ts.SyntaxKind, Refusal> = new Map([
  ...[
    SyntaxKind.ForStatement,
    SyntaxKind.ForInStatement,
    SyntaxKind.ForOfStatement,
    SyntaxKind.WhileStatement,
    SyntaxKind.DoStatement,
    SyntaxKind.BreakStatement,
    SyntaxKind.ContinueStatement,
    SyntaxKind.LabeledStatement,
  ].map((kind) => [kind, LOOP] as const),
  ...[SyntaxKind.PostfixUnaryExpression, SyntaxKind.DeleteExpression].map((kind) => [kind, CHANGE] as const),
  ...[
    SyntaxKind.TemplateExpression,
    SyntaxKind.TaggedTemplateExpression,
    SyntaxKind.RegularExpressionLiteral,
    SyntaxKind.JsxElement,
    SyntaxKind.JsxSelfClosingElement,
    SyntaxKind.JsxFragment,
  ].map((kind) => [kind, TEXT] as const),
  ...[SyntaxKind.ThisKeyword, SyntaxKind.SuperKeyword, SyntaxKind.MetaProperty].map((kind) => [kind, STATE] as const),
  ...[SyntaxKind.AwaitExpression, SyntaxKind.YieldExpression].map((kind) => [kind, LATER] as const),
  ...[
    SyntaxKind.ObjectLiteralExpression,
    SyntaxKind.ArrayLiteralExpression,
    SyntaxKind.NewExpression,
    SyntaxKind.ClassExpression,
    SyntaxKind.ClassDeclaration,
    SyntaxKind.EnumDeclaration,
  ].map((kind) => [kind, OBJECT] as const),
  ...[SyntaxKind.ThrowStatement, SyntaxKind.TryStatement].map((kind) => [kind, EXCEPTION] as const),
  [SyntaxKind.SwitchStatement, CHOICE],
]);

export function refusalOf(node: ts.Node): Refusal {
  if (ts.isPrefixUnaryExpression(node)) return node.operator === SyntaxKind.TildeToken ? BITS : CHANGE;
  if (ts.isBinaryExpression(node)) return refusalOfOperator(node.operatorToken.kind);
  return REFUSALS.get(node.kind) ?? OTHER;
}

function refusalOfOperator(operator: ts.SyntaxKind): Refusal {
  if (operator >= SyntaxKind.FirstAssignment && operator <= SyntaxKind.LastAssignment) return CHANGE;
  switch (operator) {
    case SyntaxKind.AmpersandToken:
    case SyntaxKind.BarToken:
    case SyntaxKind.CaretToken:
    case SyntaxKind.LessThanLessThanToken:
    case SyntaxKind.GreaterThanGreaterThanToken:
    case SyntaxKind.GreaterThanGreaterThanGreaterThanToken:
      return BITS;
    default:
      return OTHER;
  }
}
