// Functions in the text of a spec. Each gets one more parameter, a number that nobody passes anything for, and first of
// all answers a probe: so a function that is met when the spec has run leads back to its text, and tells the values of
// what it captured. Nothing is wrapped; names, hoisting, `this`, recursion and `length` stay what they were.

import type MagicString from "magic-string";
import { ts } from "ts-morph";

/** A function that can be read: its syntax, whose source file knows the path. */
export type FunctionSyntax = ts.ArrowFunction | ts.FunctionExpression | ts.FunctionDeclaration | ts.MethodDeclaration;

/** A function value that has been found again in the text. */
export interface FoundFunction {
  readonly syntax: FunctionSyntax;
  /**
   * The value of a name, or of a chain of properties that starts at one, from outside of the function; by its text.
   * @throws whatever reading it throws.
   */
  readonly capture: (text: string) => unknown;
}

const PARAMETER = "__hirec";
const PROBE = "hirecCaptured";

/**
 * Numbers the functions of a file, from `first` on. Left out are those of which a change could be noticed: async functions
 * and generators, methods of classes, functions without parameters or with other than plain ones.
 */
export function numberFunctions(edited: MagicString, source: ts.SourceFile, first: number): FunctionSyntax[] {
  if (source.text.includes(PARAMETER)) return [];
  const found: FunctionSyntax[] = [];
  visitBelow(source, (node) => {
    if (isNumbered(node)) {
      instrument(edited, source, node, first + found.length);
      found.push(node);
    }
    return true;
  });
  return found;
}

/** Visits nodes in the order of the text, without recursion, for a sum of thousands is nested as deep. */
function visitBelow(root: ts.Node, goesOn: (node: ts.Node) => boolean): void {
  const waiting = [root];
  for (let node = waiting.pop(); node; node = waiting.pop()) {
    if (!goesOn(node)) continue;
    const children: ts.Node[] = [];
    ts.forEachChild(node, (child) => {
      children.push(child);
    });
    waiting.push(...children.reverse());
  }
}

function isNumbered(node: ts.Node): node is FunctionSyntax {
  if (!ts.isArrowFunction(node) && !ts.isFunctionExpression(node) && !ts.isFunctionDeclaration(node)) {
    if (!ts.isMethodDeclaration(node) || !ts.isObjectLiteralExpression(node.parent)) return false;
  }
  const { body, parameters, modifiers, asteriskToken } = node;
  if (!body || parameters.length === 0 || asteriskToken) return false;
  if (modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword)) return false;
  // A directive such as "use strict" must come first, and does not go with a default value.
  const [statement] = ts.isBlock(body) ? body.statements : [];
  if (statement && ts.isExpressionStatement(statement) && ts.isStringLiteral(statement.expression)) return false;
  return parameters.every(
    ({ name, initializer, dotDotDotToken }) =>
      ts.isIdentifier(name) && name.text !== "this" && !initializer && !dotDotDotToken,
  );
}

function instrument(edited: MagicString, source: ts.SourceFile, node: FunctionSyntax, number: number): void {
  const { parameters } = node;
  const body = node.body!;
  const captured = [...capturedTexts(body)].map((text) => `${JSON.stringify(text)}: () => ${text}`);
  const answer = `${PARAMETER}.${PROBE}({ ${captured.join(", ")} })`;
  const isBare = ts.isArrowFunction(node) && !node.getChildren(source).some(isOpenParenthesis);
  if (isBare) edited.appendLeft(parameters[0]!.getStart(source), "(");
  edited.appendLeft(parameters.at(-1)!.getEnd(), `, ${PARAMETER} = ${number}${isBare ? ")" : ""}`);
  if (ts.isBlock(body)) {
    edited.appendLeft(body.getStart(source) + 1, ` if (${PARAMETER}?.${PROBE}) return ${answer};`);
  } else {
    edited.appendLeft(body.getStart(source), `${PARAMETER}?.${PROBE} ? ${answer} : (`);
    edited.appendLeft(body.getEnd(), ")");
  }
}

function isOpenParenthesis({ kind }: ts.Node): boolean {
  return kind === ts.SyntaxKind.OpenParenToken;
}

/** Names, and chains of properties that start at one, which stand in a function; what it declares itself does no harm. */
function capturedTexts(body: ts.ConciseBody): Set<string> {
  const texts = new Set<string>();
  visitBelow(body, (node) => {
    if (ts.isTypeNode(node)) return false;
    if (!isChain(node)) return true;
    if (isRead(node)) texts.add(node.getText());
    return false;
  });
  return texts;
}

/** A name, or a chain of properties with plain names and literal indices that starts at one. */
export function isChain(node: ts.Node): boolean {
  if (ts.isIdentifier(node)) return true;
  if (ts.isPropertyAccessExpression(node)) return ts.isIdentifier(node.name) && isChain(node.expression);
  if (ts.isElementAccessExpression(node)) {
    const { argumentExpression: index } = node;
    return (ts.isStringLiteralLike(index) || ts.isNumericLiteral(index)) && isChain(node.expression);
  }
  return ts.isNonNullExpression(node) && isChain(node.expression);
}

/** The name that a chain starts at. */
export function rootOf(chain: ts.Expression): ts.Identifier {
  let root: ts.Node = chain;
  while (!ts.isIdentifier(root)) root = (root as ts.PropertyAccessExpression).expression;
  return root;
}

/** Whether a chain is a value that is read: not a declared name, the name of a property, or a label. */
function isRead(node: ts.Node): boolean {
  const { parent } = node;
  if (!ts.isIdentifier(node)) return true;
  if (ts.isVariableDeclaration(parent)) return parent.initializer === node;
  if (ts.isPropertyAssignment(parent)) return parent.initializer === node;
  if (ts.isParameter(parent) || ts.isBindingElement(parent)) return parent.initializer === node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  const isNamed = ts.isFunctionLike(parent) || ts.isClassLike(parent) || ts.isPropertyDeclaration(parent);
  if (isNamed) return "name" in parent ? parent.name !== node : true;
  return !(
    ts.isLabeledStatement(parent) ||
    ts.isBreakOrContinueStatement(parent) ||
    ts.isMetaProperty(parent) ||
    ts.isEnumMember(parent) ||
    ts.isEnumDeclaration(parent) ||
    ts.isJsxAttribute(parent)
  );
}

/** How esbuild prints the head of a numbered function; it may have renamed the parameter. */
const HEAD = /^[^(={]*\((?:\s*[\p{ID_Continue}$]+\s*,)+\s*__hirec\d*\s*=\s*(\d+)\s*\)/u;

/** The text of a function that has run; undefined when it is not one of those that were numbered. */
export function findFunction(value: object, functions: readonly FunctionSyntax[]): FoundFunction | undefined {
  const number = HEAD.exec(Function.prototype.toString.call(value))?.[1];
  const syntax = number === undefined ? undefined : functions[Number(number)];
  if (!syntax) return undefined;
  const blanks = syntax.parameters.map(() => undefined);
  const captured = (value as (...given: unknown[]) => unknown)(...blanks, {
    [PROBE]: (thunks: unknown) => thunks,
  }) as Readonly<Record<string, () => unknown>>;
  return { syntax, capture: (text) => captured[text]!() };
}
