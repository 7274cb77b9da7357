// Where the properties of a JSON text stand, for diagnostics.

import { ts } from "ts-morph";
import type { SourceSpan } from "../../runtime/errors.ts";
import { spanOfNode } from "../load/span.ts";

/** The place of a property's name, given the names that lead to it; as far as they lead. */
export type JsonPlaces = (...names: readonly string[]) => SourceSpan;

export function jsonPlaces(file: string, text: string): JsonPlaces {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true, ts.ScriptKind.JSON);
  const [statement] = source.statements;
  const root = statement && ts.isExpressionStatement(statement) ? statement.expression : undefined;
  return (...names) => {
    let [value, place]: [ts.Node | undefined, ts.Node | undefined] = [root, root];
    for (const name of names) {
      const property = value && propertyOf(value, name);
      if (!property) break;
      [value, place] = [property.initializer, property.name];
    }
    return place ? spanOfNode(place) : { file, line: 1, column: 1, length: 1 };
  };
}

function propertyOf(object: ts.Node, name: string): ts.PropertyAssignment | undefined {
  if (!ts.isObjectLiteralExpression(object)) return undefined;
  // Of two of one name, the last counts.
  return object.properties.findLast(
    (each): each is ts.PropertyAssignment =>
      ts.isPropertyAssignment(each) && ts.isStringLiteral(each.name) && each.name.text === name,
  );
}

/** What is wrong with a text that is not JSON, and where. */
export function jsonProblem(file: string, text: string): { readonly what: string; readonly span: SourceSpan } {
  const { error } = ts.parseConfigFileTextToJson(file, text);
  const start = Math.min(error?.start ?? 0, text.length);
  const before = text.slice(0, start).split("\n");
  const span = {
    file,
    line: before.length,
    column: before.at(-1)!.length + 1,
    length: Math.max(1, error?.length ?? 1),
  };
  return { what: error ? ts.flattenDiagnosticMessageText(error.messageText, " ").replace(/\.$/, "") : "", span };
}
