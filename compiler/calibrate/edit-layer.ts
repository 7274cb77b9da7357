// One layer's call in the text of a spec: values are replaced where they stand, and what is not a plain value is refused.

import type MagicString from "magic-string";
import {
  type CallExpression,
  Node,
  type ObjectLiteralExpression,
  type PropertyAssignment,
  type SourceFile,
  type SpreadAssignment,
  SyntaxKind,
} from "ts-morph";
import type { SourceSpan } from "../../runtime/errors.ts";
import { type CallSite, LANGUAGE_MODULE, spanOf } from "../load/spec-text.ts";
import type { CheckedSelector } from "../model.ts";
import { keyOf } from "./grid.ts";
import type { Setting } from "./result.ts";
import { type Builder, builderOf, callText } from "./written.ts";

/** Why a call cannot be edited, and where. */
export class Refusal extends Error {
  readonly span: SourceSpan | undefined;
  constructor(why: string, span?: SourceSpan) {
    super(why);
    this.span = span;
  }
}

/**
 * Edits one call.
 * @param given the options that the call was given when the spec ran.
 * @throws Refusal, with the text half edited.
 */
export function editLayer(
  source: SourceFile,
  text: MagicString,
  { call: span }: CallSite,
  given: object,
  setting: Partial<Setting>,
): void {
  const call = source
    .getDescendantsOfKind(SyntaxKind.CallExpression)
    .find((each) => isAt(each, span) && /\b(softmax|ffn)$/.test(builderName(source, each) ?? ""));
  const [argument] = call?.getArguments() ?? [];
  if (!call || !argument) throw new Refusal("its call cannot be found again", span);
  const options = literalOf(argument);
  if (!options) throw new Refusal("its options are not written in its call", spanOf(argument));
  const properties = options.getProperties();
  for (const name of Object.keys(setting)) {
    const spread = properties.find(Node.isSpreadAssignment);
    const isWritten = properties.some((each) => !Node.isSpreadAssignment(each) && nameOf(each) === name);
    if (spread && !isWritten && name in given) throw new Refusal(`${name} comes from a spread`, spanOf(spread));
  }
  const { estimator, candidates, select, shards } = setting;
  if (estimator) setBuilt(source, text, options, "estimator", builderOf(estimator));
  if (candidates !== undefined) setValue(text, options, "candidates", String(candidates));
  if (select) {
    // What is the default needs no words where there were none.
    const isDefault = keyOf(select) === keyOf(DEFAULTS[builderName(source, call) === "ffn" ? "ffn" : "softmax"]);
    if (!isDefault || propertyOf(options, "select")) setBuilt(source, text, options, "select", builderOf(select));
  }
  if (shards) setShards(text, options, shards);
}

const DEFAULTS: Readonly<Record<"softmax" | "ffn", CheckedSelector>> = {
  softmax: { kind: "twoStage", recall: 0.99 },
  ffn: { kind: "exact" },
};

function isAt(node: Node, { line, column }: SourceSpan): boolean {
  const at = spanOf(node);
  return at.line === line && at.column === column;
}

/** The builder that a call calls, by its name in the language. */
function builderName(source: SourceFile, call: CallExpression): string | undefined {
  const callee = call.getExpression().getText();
  for (const declaration of languageImports(source)) {
    const namespace = declaration.getNamespaceImport()?.getText();
    if (namespace && callee.startsWith(`${namespace}.`)) return callee.slice(namespace.length + 1);
    for (const named of declaration.getNamedImports()) {
      if ((named.getAliasNode()?.getText() ?? named.getName()) === callee) return named.getName();
    }
  }
  return undefined;
}

function languageImports(source: SourceFile) {
  return source.getImportDeclarations().filter((each) => each.getModuleSpecifierValue() === LANGUAGE_MODULE);
}

function literalOf(node: Node): ObjectLiteralExpression | undefined {
  let inner = node;
  while (Node.isAsExpression(inner) || Node.isSatisfiesExpression(inner) || Node.isParenthesizedExpression(inner)) {
    inner = inner.getExpression();
  }
  return Node.isObjectLiteralExpression(inner) ? inner : undefined;
}

/** Sets a property whose value a builder makes; where it is the same builder, only what differs in its options. */
function setBuilt(
  source: SourceFile,
  text: MagicString,
  options: ObjectLiteralExpression,
  name: string,
  { name: builder, options: values, defaults }: Builder,
): void {
  const property = propertyOf(options, name);
  const before = property && plainBuilderCall(source, property);
  const own = before?.call.getArguments()[0];
  const literal = own && literalOf(own);
  const known = { ...defaults, ...values };
  if (before?.name === builder && literal?.getProperties().every((each) => nameOf(each) in known)) {
    for (const [option, value] of Object.entries(known)) {
      if (option in values || propertyOf(literal, option)) setValue(text, literal, option, value);
    }
    return;
  }
  const value = callText(localName(source, text, builder), values);
  if (before) text.update(before.call.getStart(), before.call.getEnd(), value);
  else addProperty(text, options, name, value);
}

/** What a property is, if it is a builder called with plain values; refuses anything else. */
function plainBuilderCall(source: SourceFile, property: Node) {
  const value = Node.isPropertyAssignment(property) ? property.getInitializerOrThrow() : undefined;
  const name = value && Node.isCallExpression(value) ? builderName(source, value) : undefined;
  if (!value || !Node.isCallExpression(value) || name === undefined) {
    throw new Refusal(`${nameOf(property)} comes from a variable or helper`, spanOf(property));
  }
  for (const argument of value.getArguments()) {
    const literal = literalOf(argument);
    if (!literal) throw new Refusal(`the options of ${name} are not written in its call`, spanOf(argument));
    const computed = literal.getProperties().find((each) => !isPlain(each));
    if (computed) throw new Refusal(`an option of ${name} is computed`, spanOf(computed));
  }
  return { call: value, name };
}

function isPlain(property: Node): boolean {
  if (!Node.isPropertyAssignment(property)) return false;
  const value = property.getInitializerOrThrow();
  return Node.isNumericLiteral(value) || Node.isStringLiteral(value);
}

function setValue(text: MagicString, options: ObjectLiteralExpression, name: string, value: string): void {
  const property = propertyOf(options, name);
  if (!property) {
    addProperty(text, options, name, value);
    return;
  }
  if (!isPlain(property)) throw new Refusal(`${name} is not a plain value`, spanOf(property));
  const before = (property as PropertyAssignment).getInitializerOrThrow();
  const isSame = Node.isStringLiteral(before)
    ? JSON.stringify(before.getLiteralValue()) === value
    : before.getText() === value;
  if (!isSame) text.update(before.getStart(), before.getEnd(), value);
}

/** Sets properties of `shards`, which may be a number alone. What follows from a recall or from odds becomes a number. */
function setShards(text: MagicString, options: ObjectLiteralExpression, values: NonNullable<Setting["shards"]>): void {
  const property = propertyOf(options, "shards");
  const value = Node.isPropertyAssignment(property) ? property.getInitializerOrThrow() : undefined;
  if (!property || !value) throw new Refusal("shards is not written in its call", spanOf(property ?? options));
  const entries = Object.entries(values).map(([name, each]) => [name, String(each)] as const);
  if (Node.isNumericLiteral(value)) {
    const all = [["count", value.getText()], ...entries].map(([name, each]) => `${name}: ${each}`);
    text.update(value.getStart(), value.getEnd(), `{ ${all.join(", ")} }`);
    return;
  }
  const literal = literalOf(value);
  if (!literal) throw new Refusal("shards comes from a variable or helper", spanOf(property));
  for (const [name, each] of entries) {
    const found = propertyOf(literal, name);
    const before = Node.isPropertyAssignment(found) ? literalOf(found.getInitializerOrThrow()) : undefined;
    if (before?.getProperties().every(isPlain)) text.update(before.getStart(), before.getEnd(), each);
    else setValue(text, literal, name, each);
  }
}

/** A property of an object literal; refuses where a spread behind it may say otherwise. */
function propertyOf(options: ObjectLiteralExpression, name: string): Node | undefined {
  const properties = options.getProperties();
  const at = properties.findIndex((each) => !Node.isSpreadAssignment(each) && nameOf(each) === name);
  const after = at < 0 ? [] : properties.slice(at + 1);
  const spread = after.find((each) => Node.isSpreadAssignment(each) && mayHold(each, name));
  if (spread) throw new Refusal(`${name} may come from a spread`, spanOf(spread));
  return properties[at];
}

/** Only of an object that is written in its place it is known what it holds. */
function mayHold(spread: SpreadAssignment, name: string): boolean {
  const literal = literalOf(spread.getExpression());
  if (!literal) return true;
  return literal
    .getProperties()
    .some((each) => (Node.isSpreadAssignment(each) ? mayHold(each, name) : nameOf(each) === name));
}

function nameOf(property: Node): string {
  if (!Node.isPropertyAssignment(property) && !Node.isShorthandPropertyAssignment(property)) return property.getText();
  return property.getName().replace(/^["']|["']$/g, "");
}

/** Behind the last property: on a line of its own where that is. */
function addProperty(text: MagicString, options: ObjectLiteralExpression, name: string, value: string): void {
  const last = options.getProperties().at(-1);
  if (!last) {
    text.update(options.getStart(), options.getEnd(), `{ ${name}: ${value} }`);
    return;
  }
  const whole = options.getSourceFile().getFullText();
  const before = whole.slice(0, last.getStart());
  const indent = /\n([ \t]*)$/.exec(before)?.[1];
  // A comment behind the last property stays with it.
  const behind = indent === undefined ? /^\s*,/ : /^\s*,([ \t]*\/\/[^\n]*)?/;
  const comma = behind.exec(whole.slice(last.getEnd()))?.[0];
  const separator = indent === undefined ? " " : `\n${indent}`;
  if (comma === undefined) text.appendLeft(last.getEnd(), `,${separator}${name}: ${value}`);
  else text.appendLeft(last.getEnd() + comma.length, `${separator}${name}: ${value},`);
}

/** The name of a builder in a file; it is imported where it is not yet. */
function localName(source: SourceFile, text: MagicString, builder: string): string {
  const imports = languageImports(source);
  for (const declaration of imports) {
    const namespace = declaration.getNamespaceImport()?.getText();
    if (namespace) return `${namespace}.${builder}`;
    const named = declaration.getNamedImports().find((each) => each.getName() === builder);
    if (named) return named.getAliasNode()?.getText() ?? builder;
  }
  const last = imports.flatMap((each) => (each.isTypeOnly() ? [] : each.getNamedImports())).at(-1);
  if (!last) throw new Refusal(`${builder} cannot be imported: nothing else is imported from "${LANGUAGE_MODULE}"`);
  if (!text.slice(last.getStart(), last.getEnd()).split(/\W+/).includes(builder)) {
    text.appendLeft(last.getEnd(), `, ${builder}`);
  }
  return builder;
}
