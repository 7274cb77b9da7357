// The text of a spec: where every builder is called and every property stands, and the same text with each of those
// calls numbered, so that a value met when the spec runs leads back to its place.

import MagicString from "magic-string";
import { type CallExpression, type Expression, Node, Project, type SourceFile, SyntaxKind, type ts } from "ts-morph";
import type { Diagnostic, SourceSpan } from "../../runtime/errors.ts";

/** The module name that specs import the language from. */
export const LANGUAGE_MODULE = "hirec";

const BUILDERS = new Set(["defineModel", "softmax", "quantized", "dense", "exact", "twoStage"]);

/** Where one builder call stands. */
export interface CallSite {
  readonly call: SourceSpan;
  readonly args: readonly SourceSpan[];
  /** Properties of the object literals passed to the call, spreads and constants of the same file followed. */
  readonly properties: ReadonlyMap<string, { readonly name: SourceSpan; readonly value: SourceSpan }>;
}

export interface NumberedSpec {
  /** The text with a number appended to the arguments of every builder call, and an inline source map to `text`. */
  readonly code: string;
  readonly sites: readonly CallSite[];
  readonly problems: readonly Diagnostic[];
}

// One project for the life of the process: a second parse takes milliseconds, the first most of a second.
const project = new Project({ useInMemoryFileSystem: true, skipLoadingLibFiles: true });

/**
 * Parses one file and numbers its builder calls from `firstSite` on.
 * @returns problems HIRE-SPEC-002 (syntax) and HIRE-SPEC-007 (a property given twice, of which JavaScript would silently
 * keep the last).
 */
export function numberBuilderCalls(path: string, text: string, firstSite: number): NumberedSpec {
  const source = project.createSourceFile(path, text, { overwrite: true });
  const syntax = syntaxProblems(source, path);
  if (syntax.length > 0) return { code: text, sites: [], problems: syntax };

  const edited = new MagicString(text);
  const sites: CallSite[] = [];
  const problems: Diagnostic[] = [];
  for (const call of builderCalls(source)) {
    const number = firstSite + sites.length;
    const args = call.getArguments();
    if (args.some(Node.isSpreadElement)) continue;
    const last = args.at(-1);
    // A builder that was called without options gets an explicit `undefined`, so that the number is its second argument.
    if (last === undefined) edited.appendLeft(call.getEnd() - 1, `undefined, ${number}`);
    else edited.appendLeft(last.getEnd(), `, ${number}`);
    sites.push(describeCall(call, problems));
  }
  if (sites.length === 0) return { code: text, sites, problems };
  const map = edited.generateMap({ source: path, includeContent: true, hires: true });
  return { code: `${edited.toString()}\n//# sourceMappingURL=${map.toUrl()}`, sites, problems };
}

/** The span of a node, on its first line. */
export function spanOf(node: Node): SourceSpan {
  const source = node.getSourceFile();
  const { line, column } = source.getLineAndColumnAtPos(node.getStart());
  const [firstLine = ""] = node.getText().split("\n");
  return { file: source.getFilePath(), line, column, length: Math.max(1, firstLine.trimEnd().length) };
}

function syntaxProblems(source: SourceFile, path: string): Diagnostic[] {
  // TypeScript keeps these on the parsed file; asking a program for them would load the standard library first.
  const found = (source.compilerNode as ts.SourceFile & { parseDiagnostics?: ts.DiagnosticWithLocation[] })
    .parseDiagnostics;
  return (found ?? []).map((problem) => {
    const { line, column } = source.getLineAndColumnAtPos(problem.start);
    const message = typeof problem.messageText === "string" ? problem.messageText : problem.messageText.messageText;
    return {
      code: "HIRE-SPEC-002",
      message: `This is not valid TypeScript: ${message.replace(/\.$/, "")}`,
      fix: "Correct the syntax at the marked place",
      span: { file: path, line, column, length: Math.max(1, problem.length) },
    };
  });
}

function builderCalls(source: SourceFile): CallExpression[] {
  const direct = new Set<string>();
  const namespaces = new Set<string>();
  for (const declaration of source.getImportDeclarations()) {
    if (declaration.getModuleSpecifierValue() !== LANGUAGE_MODULE) continue;
    const namespace = declaration.getNamespaceImport();
    if (namespace) namespaces.add(namespace.getText());
    for (const named of declaration.getNamedImports()) {
      if (BUILDERS.has(named.getName())) direct.add(named.getAliasNode()?.getText() ?? named.getName());
    }
  }
  return source.getDescendantsOfKind(SyntaxKind.CallExpression).filter((call) => {
    const callee = call.getExpression();
    if (Node.isIdentifier(callee)) return direct.has(callee.getText());
    return (
      Node.isPropertyAccessExpression(callee) &&
      namespaces.has(callee.getExpression().getText()) &&
      BUILDERS.has(callee.getName())
    );
  });
}

function describeCall(call: CallExpression, problems: Diagnostic[]): CallSite {
  const properties = new Map<string, { name: SourceSpan; value: SourceSpan }>();
  for (const argument of call.getArguments()) {
    if (Node.isExpression(argument)) collectProperties(argument, properties, problems, new Set());
  }
  return { call: spanOf(call), args: call.getArguments().map(spanOf), properties };
}

function collectProperties(
  expression: Expression,
  into: Map<string, { name: SourceSpan; value: SourceSpan }>,
  problems: Diagnostic[],
  seen: Set<Node>,
): void {
  const literal = literalBehind(expression);
  if (!literal || seen.has(literal)) return;
  seen.add(literal);
  const own = new Set<string>();
  for (const property of literal.getProperties()) {
    if (Node.isSpreadAssignment(property)) {
      collectProperties(property.getExpression(), into, problems, seen);
      continue;
    }
    const nameNode = property.getNameNode();
    const name = Node.isStringLiteral(nameNode) ? nameNode.getLiteralText() : nameNode.getText();
    const value = Node.isPropertyAssignment(property) ? property.getInitializerOrThrow() : property;
    if (own.has(name)) {
      problems.push({
        code: "HIRE-SPEC-007",
        message: `"${name}" is given twice in the same object`,
        fix: "Rename or remove one of the two; JavaScript would silently keep only the last",
        span: spanOf(nameNode),
      });
    }
    own.add(name);
    into.set(name, { name: spanOf(nameNode), value: spanOf(value) });
  }
}

/** The object literal that an expression is, or names as a constant of the same file. */
function literalBehind(expression: Expression) {
  let inner: Node = expression;
  while (Node.isAsExpression(inner) || Node.isSatisfiesExpression(inner) || Node.isParenthesizedExpression(inner)) {
    inner = inner.getExpression();
  }
  if (Node.isIdentifier(inner)) {
    const initializer = inner.getSourceFile().getVariableDeclaration(inner.getText())?.getInitializer();
    return initializer && !Node.isIdentifier(initializer) ? literalOf(initializer) : undefined;
  }
  return literalOf(inner);
}

function literalOf(node: Node) {
  let inner = node;
  while (Node.isAsExpression(inner) || Node.isSatisfiesExpression(inner)) inner = inner.getExpression();
  return Node.isObjectLiteralExpression(inner) ? inner : undefined;
}
