// The text of a spec: where every builder is called and every property stands, and the same text with each of those
// calls numbered, so that a value met when the spec runs leads back to its place.

import MagicString, { type SourceMap } from "magic-string";
import { type CallExpression, type Expression, Node, Project, type SourceFile, SyntaxKind, type ts } from "ts-morph";
import { type Diagnostic, type SourceSpan, withoutRepeats } from "../../runtime/errors.ts";
import { type FunctionSyntax, numberFunctions } from "./functions.ts";

/** The module name that specs import the language from. */
export const LANGUAGE_MODULE = "hirec";

/** The builders, and how many arguments each takes. */
const BUILDERS: ReadonlyMap<string, number> = new Map([
  ["defineModel", 2],
  ["softmax", 1],
  ["ffn", 1],
  ["quantized", 1],
  ["lowRank", 1],
  ["dense", 1],
  ["exact", 1],
  ["twoStage", 1],
  ["statistical", 1],
  ["greedy", 1],
  ["multinomial", 1],
]);

/** Where one builder call stands. */
export interface CallSite {
  readonly call: SourceSpan;
  readonly args: readonly SourceSpan[];
  /** Properties of the object literals passed to the call, spreads and constants of the same file followed. */
  readonly properties: ReadonlyMap<string, { readonly name: SourceSpan; readonly value: SourceSpan }>;
}

export interface NumberedSpec {
  /** The text with a number for every builder call and function (functions.ts). */
  readonly code: string;
  /** From `code` to the text; absent where nothing was numbered. */
  readonly map?: SourceMap;
  readonly sites: readonly CallSite[];
  readonly functions: readonly FunctionSyntax[];
  readonly problems: readonly Diagnostic[];
}

// One project for the life of the process: a second parse takes milliseconds, the first most of a second.
const project = new Project({ useInMemoryFileSystem: true, skipLoadingLibFiles: true });

/**
 * Parses one file and numbers its builder calls and its functions, each from the numbers of `first` on.
 * @returns problems HIRE-SPEC-002 (syntax) and HIRE-SPEC-007 (a property given twice, of which JavaScript would silently
 * keep the last).
 */
export function numberSpec(path: string, text: string, first: { site: number; function: number }): NumberedSpec {
  const source = project.createSourceFile(path, text, { overwrite: true });
  const syntax = syntaxProblems(source, path);
  if (syntax.length > 0) return { code: text, sites: [], functions: [], problems: syntax };

  const edited = new MagicString(text);
  const sites: CallSite[] = [];
  const problems: Diagnostic[] = [];
  // Functions first: where a function ends an argument list, the number of the call goes behind it.
  const functions = numberFunctions(edited, source.compilerNode, first.function);
  for (const { call, arity } of builderCalls(source)) {
    appendNumber(edited, call, arity, first.site + sites.length);
    sites.push(describeCall(call, problems));
  }
  if (!edited.hasChanged()) return { code: text, sites, functions, problems };
  const map = edited.generateMap({ source: path, includeContent: true, hires: true });
  return { code: edited.toString(), map, sites, functions, problems: withoutRepeats(problems) };
}

/** Where a spec says what its default export is; undefined when it does not. */
export function defaultExportSpan(path: string, text: string): SourceSpan | undefined {
  const source = project.createSourceFile(path, text, { overwrite: true });
  const statement = source.getStatements().find((each) => /^export\s+default\b/.test(each.getText()));
  if (statement) return spanOf(Node.isExportAssignment(statement) ? statement.getExpression() : statement);
  const named = source.getExportDeclarations().flatMap((each) => each.getNamedExports());
  const renamed = named.find((each) => (each.getAliasNode()?.getText() ?? each.getName()) === "default");
  return renamed && spanOf(renamed);
}

/** Puts a call's number behind the arguments that its builder takes, so that it arrives at the same place always. */
function appendNumber(edited: MagicString, call: CallExpression, arity: number, number: number): void {
  const args = call.getArguments();
  const last = args.at(-1);
  // How many arguments a spread stands for is known only when it runs; they are taken to be the right number.
  const spread = args.some(Node.isSpreadElement);
  const excess = spread ? undefined : args[arity];
  if (excess) {
    edited.appendLeft(excess.getStart(), `{ site: ${number} }, `);
    return;
  }
  const missing = spread ? 0 : arity - args.length;
  const added = `${"undefined, ".repeat(missing)}{ site: ${number} }`;
  if (last) edited.appendLeft(last.getEnd(), `, ${added}`);
  else edited.appendLeft(call.getEnd() - 1, added);
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

function builderCalls(source: SourceFile): { readonly call: CallExpression; readonly arity: number }[] {
  const direct = new Map<string, number>();
  const namespaces = new Set<string>();
  for (const declaration of source.getImportDeclarations()) {
    if (declaration.getModuleSpecifierValue() !== LANGUAGE_MODULE) continue;
    const namespace = declaration.getNamespaceImport();
    if (namespace) namespaces.add(namespace.getText());
    for (const named of declaration.getNamedImports()) {
      const arity = BUILDERS.get(named.getName());
      if (arity !== undefined) direct.set(named.getAliasNode()?.getText() ?? named.getName(), arity);
    }
  }
  const arityOf = (callee: Expression): number | undefined => {
    if (Node.isIdentifier(callee)) return direct.get(callee.getText());
    if (!Node.isPropertyAccessExpression(callee)) return undefined;
    return namespaces.has(callee.getExpression().getText()) ? BUILDERS.get(callee.getName()) : undefined;
  };
  return source.getDescendantsOfKind(SyntaxKind.CallExpression).flatMap((call) => {
    const arity = arityOf(call.getExpression());
    return arity === undefined ? [] : [{ call, arity }];
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
  within = "",
): void {
  const literal = literalBehind(expression);
  if (!literal || seen.has(literal)) return;
  seen.add(literal);
  const own = new Set<string>();
  for (const property of literal.getProperties()) {
    if (Node.isSpreadAssignment(property)) {
      collectProperties(property.getExpression(), into, problems, seen, within);
      continue;
    }
    const nameNode = property.getNameNode();
    const written = Node.isComputedPropertyName(nameNode) ? nameNode.getExpression() : nameNode;
    const name = Node.isStringLiteral(written) ? written.getLiteralText() : nameNode.getText();
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
    into.set(within + name, { name: spanOf(nameNode), value: spanOf(value) });
    // What lies in an object in the options has a place as well; an object given later replaces all of it.
    for (const nested of [...into.keys()]) if (nested.startsWith(nestedName(name, ""))) into.delete(nested);
    if (within === "" && Node.isExpression(value)) {
      collectProperties(value, into, problems, seen, nestedName(name, ""));
    }
  }
}

/** The name under which a property of the object in a property is found; no property of its own has a line break. */
export function nestedName(property: string, nested: string): string {
  return `${property}\n${nested}`;
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
