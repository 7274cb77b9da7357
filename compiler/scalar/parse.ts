// A function of which there is only the value: its own text is read, and nothing outside of it but the globals is known.

import { ts } from "ts-morph";
import type { FoundFunction, FunctionSyntax } from "../load/functions.ts";
import { GLOBALS } from "./math.ts";

/** @returns undefined for what has no text of its own or none that a kernel could run. */
export function parseFunction(value: object): FoundFunction | undefined {
  const text = Function.prototype.toString.call(value);
  // An arrow function or a function is an expression; a method is one only within an object.
  const syntax = functionOf(`(${text})`) ?? functionOf(`({${text}})`);
  return syntax && { syntax, capture: captureGlobal };
}

function functionOf(text: string): FunctionSyntax | undefined {
  const source = ts.createSourceFile("function.ts", text, ts.ScriptTarget.Latest, true);
  const { parseDiagnostics } = source as ts.SourceFile & { parseDiagnostics?: readonly unknown[] };
  const [statement] = source.statements;
  if (parseDiagnostics?.length || source.statements.length !== 1 || !ts.isExpressionStatement(statement!))
    return undefined;
  let node: ts.Node = statement.expression;
  if (ts.isParenthesizedExpression(node)) node = node.expression;
  if (ts.isObjectLiteralExpression(node)) [node] = node.properties as unknown as [ts.Node];
  if (!node || !(ts.isArrowFunction(node) || ts.isFunctionExpression(node) || ts.isMethodDeclaration(node)))
    return undefined;
  const isAsync = node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword);
  return isAsync || node.asteriskToken ? undefined : node;
}

function captureGlobal(text: string): unknown {
  const [root = "", ...names] = text.split(".");
  if (!Object.hasOwn(GLOBALS, root)) {
    throw new Error(
      "its value cannot be seen from the function's text; use the number itself, or compile a spec file, in which functions may use what is around them",
    );
  }
  return names.reduce((value, name) => (value as Record<string, unknown>)[name], GLOBALS[root]);
}
