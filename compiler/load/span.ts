// Places of TypeScript's own syntax nodes, which stay valid when the text is parsed again.

import type { ts } from "ts-morph";
import type { SourceSpan } from "../../runtime/errors.ts";

/** The span of a node, on its first line. */
export function spanOfNode(node: ts.Node): SourceSpan {
  const source = node.getSourceFile();
  const { line, character } = source.getLineAndCharacterOfPosition(node.getStart());
  const [firstLine = ""] = node.getText().split("\n");
  return {
    file: source.fileName,
    line: line + 1,
    column: character + 1,
    length: Math.max(1, firstLine.trimEnd().length),
  };
}
