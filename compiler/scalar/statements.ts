// The body of a function: const locals, and if with return, as conditions within each other.

import { ts } from "ts-morph";
import type { FunctionSyntax } from "../load/functions.ts";
import { select, toCondition } from "./expressions.ts";
import type { Lowering } from "./lower.ts";
import { type Scope, type Value, WRONG } from "./values.ts";

export function lowerBody(lowering: Lowering, syntax: FunctionSyntax, scope: Scope): Value {
  const body = syntax.body!;
  if (!ts.isBlock(body)) return lowering.expression(body, scope);
  return lowerStatements(lowering, body.statements, scope, () =>
    lowering.refuse(syntax, { why: "it does not always return a value", fix: "End it with: return value" }),
  );
}

/** @param rest what follows the statements, when they do not return. */
function lowerStatements(
  lowering: Lowering,
  statements: readonly ts.Statement[],
  scope: Scope,
  rest: () => Value,
): Value {
  const inner: Scope = { names: new Map(), outer: scope, capture: scope.capture };
  // Functions can be used above their declarations.
  for (const each of statements) {
    if (ts.isFunctionDeclaration(each) && each.name && each.body) {
      inner.names.set(each.name.text, { kind: "closure", syntax: each, scope: inner });
    }
  }
  const from = (index: number): Value => {
    const statement = statements[index];
    if (!statement) return rest();
    return lowering.counted(statement, () => lowerStatement(lowering, statement, inner, () => from(index + 1)));
  };
  return from(0);
}

function lowerStatement(lowering: Lowering, statement: ts.Statement, scope: Scope, rest: () => Value): Value {
  if (ts.isReturnStatement(statement)) {
    if (statement.expression) return lowering.expression(statement.expression, scope);
    return lowering.refuse(statement, { why: "it returns no value", fix: "Return a number" });
  }
  if (ts.isBlock(statement)) return lowerStatements(lowering, statement.statements, scope, rest);
  if (ts.isIfStatement(statement)) return lowerIf(lowering, statement, scope, rest);
  if (ts.isVariableStatement(statement)) {
    declare(lowering, statement, scope);
    return rest();
  }
  const hasNoEffect =
    ts.isEmptyStatement(statement) ||
    ts.isFunctionDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement);
  if (!hasNoEffect) refuseStatement(lowering, statement, scope);
  return rest();
}

function refuseStatement(lowering: Lowering, statement: ts.Statement, scope: Scope): void {
  if (!ts.isExpressionStatement(statement)) {
    lowering.refuse(statement);
    return;
  }
  const problems = lowering.problems.length;
  lowering.expression(statement.expression, scope);
  if (lowering.problems.length > problems) return;
  lowering.refuse(statement.expression, {
    why: "its value is not used",
    fix: "Remove it, give it a name with const, or return it",
  });
}

function lowerIf(lowering: Lowering, statement: ts.IfStatement, scope: Scope, rest: () => Value): Value {
  const { expression, thenStatement, elseStatement } = statement;
  const test = toCondition(lowering, lowering.expression(expression, scope), expression);
  const then = () => lowerStatements(lowering, [thenStatement], scope, rest);
  const otherwise = () => (elseStatement ? lowerStatements(lowering, [elseStatement], scope, rest) : rest());
  if (typeof test === "boolean") return test ? then() : otherwise();
  const [yes, no] = [then(), otherwise()];
  return test ? select(lowering, test, yes, no, statement) : WRONG;
}

function declare(lowering: Lowering, statement: ts.VariableStatement, scope: Scope): void {
  const { declarationList } = statement;
  const isVar = !(declarationList.flags & ts.NodeFlags.BlockScoped);
  for (const declaration of declarationList.declarations) {
    const { name, initializer } = declaration;
    if (isVar || !initializer || !ts.isIdentifier(name)) {
      lowering.refuse(declaration, {
        why: isVar ? "var is visible outside of its block" : "it does not name one value",
        fix: "Declare each value with a const of its own: const name = value",
      });
      // What uses the names is not wrong as well.
      for (const each of namesOf(name)) scope.names.set(each, WRONG);
      continue;
    }
    const value = lowering.expression(initializer, scope);
    const named: Value =
      value.kind === "number" ? { kind: "number", tree: lowering.local(name.text, value.tree, true) } : value;
    scope.names.set(name.text, named);
  }
}

function namesOf(name: ts.BindingName): string[] {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((element) => (ts.isOmittedExpression(element) ? [] : namesOf(element.name)));
}
