// New values in the text of a spec: in the very places where the old ones stand, with everything else as it was. What is not
// written there as a plain value, or is written for other layers too, is left alone, and said why.

import { resolve } from "node:path";
import MagicString from "magic-string";
import {
  type CallExpression,
  Node,
  type ObjectLiteralExpression,
  Project,
  type PropertyAssignment,
  type SourceFile,
  type SpreadAssignment,
  SyntaxKind,
} from "ts-morph";
import type { Diagnostic, SourceSpan } from "../../runtime/errors.ts";
import { HireError } from "../../runtime/errors.ts";
import { check } from "../check.ts";
import { type CallSite, LANGUAGE_MODULE, spanOf } from "../load/spec-text.ts";
import { type LoadedSpec, load } from "../load.ts";
import type { CheckedEstimator, CheckedModel, CheckedSelector } from "../model.ts";
import { keyOf, withSetting } from "./grid.ts";
import type { Setting } from "./result.ts";

/** New texts by absolute path, and a diagnostic HIRE-CAL-005 for every call that cannot be edited. */
export interface SpecEdit {
  readonly texts: ReadonlyMap<string, { readonly before: string; readonly after: string }>;
  readonly problems: readonly Diagnostic[];
}

/** Layers of a spec by the call that writes them; a call in a loop or a helper writes several. */
export function writtenTogether(spec: LoadedSpec): readonly (readonly string[])[] {
  const layers = Object.entries(spec.model.options.layers as Readonly<Record<string, { site?: number }>>);
  const bySite = new Map<unknown, string[]>();
  // A layer whose call could not be followed stands for itself.
  for (const [name, { site = name }] of layers) bySite.set(site, [...(bySite.get(site) ?? []), name]);
  return [...bySite.values()];
}

/**
 * @param settings by layer; layers of one call have the same.
 * @param read the text of a file.
 */
export async function editSpec(
  spec: LoadedSpec,
  model: CheckedModel,
  settings: ReadonlyMap<string, Setting>,
  read: (path: string) => string,
): Promise<SpecEdit> {
  const texts = new Map<string, { before: string; after: string }>();
  const problems: Diagnostic[] = [];
  const edits = new Map<string, { readonly source: SourceFile; readonly text: MagicString }>();
  const project = new Project({ useInMemoryFileSystem: true, skipLoadingLibFiles: true });
  const applied = new Map<string, Setting>();
  for (const names of writtenTogether(spec)) {
    const setting = settings.get(names[0]!);
    if (!setting) continue;
    try {
      const site = siteOf(spec, names[0]!);
      const left = names.filter((name) => !settings.has(name));
      if (!site) throw new Refusal("its call cannot be followed in the text");
      if (left.length > 0) throw new Refusal(`the same call writes ${list(left)}, which is not calibrated`, site.call);
      const path = resolve(site.call.file);
      if (!edits.has(path)) {
        const before = read(path);
        edits.set(path, { source: project.createSourceFile(path, before), text: new MagicString(before) });
      }
      // A refusal leaves nothing half done.
      const { source, text } = edits.get(path)!;
      const trial = text.clone();
      editLayer(source, trial, site, setting);
      edits.set(path, { source, text: trial });
      for (const name of names) applied.set(name, setting);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      problems.push(notEditable(names, setting, thrown));
    }
  }
  for (const [path, { source, text }] of edits) {
    if (text.hasChanged()) texts.set(path, { before: source.getFullText(), after: text.toString() });
  }
  const wrong = texts.size === 0 ? undefined : await whyWrong(spec, model, applied, texts);
  if (wrong === undefined) return { texts, problems };
  const refused = [...applied].map(([name, setting]) => notEditable([name], setting, new Refusal(wrong)));
  return { texts: new Map(), problems: [...problems, ...refused] };
}

/** The values as they are written in a spec, by property. */
export function writtenValues({ estimator, candidates, select }: Setting): Readonly<Record<string, string>> {
  const builder = builderOf(estimator);
  const selector = builderOf(select);
  return {
    estimator: callText(builder.name, builder.options),
    candidates: String(candidates),
    select: callText(selector.name, selector.options),
  };
}

/** Runs the edited spec: it must say what was meant, and nothing else. @returns what is wrong with it. */
async function whyWrong(
  spec: LoadedSpec,
  model: CheckedModel,
  settings: ReadonlyMap<string, Setting>,
  texts: SpecEdit["texts"],
): Promise<string | undefined> {
  const overrides = new Map([...texts].map(([path, { after }]) => [path, after]));
  try {
    const found = check(await load(spec.path, undefined, overrides));
    const wanted = model.layers.map((layer) => {
      const setting = settings.get(layer.name);
      return setting ? withSetting(layer, setting) : layer;
    });
    const differs = found.layers.filter((layer, i) => sorted(layer) !== sorted(wanted[i]!));
    if (differs.length === 0 && found.layers.length === wanted.length) return undefined;
    return `the edited spec says something else of ${list(differs.map(({ name }) => name))} than what was meant`;
  } catch (thrown) {
    if (thrown instanceof HireError) return `the edited spec fails: ${thrown.diagnostics[0]!.message}`;
    throw thrown;
  }
}

/** The same text for the same values, in whatever order their properties are. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_, each) => (isObject(each) ? Object.fromEntries(Object.entries(each).sort()) : each));
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

class Refusal extends Error {
  readonly span: SourceSpan | undefined;
  constructor(why: string, span?: SourceSpan) {
    super(why);
    this.span = span;
  }
}

function notEditable(names: readonly string[], setting: Setting, { message, span }: Refusal): Diagnostic {
  const values = Object.entries(writtenValues(setting)).map(([name, value]) => `${name}: ${value}`);
  return {
    code: "HIRE-CAL-005",
    message: `The values of layer ${list(names)} cannot be written into the spec: ${message}`,
    fix: `Write them yourself: ${values.join(", ")}`,
    ...(span && { span }),
  };
}

function list(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}

function siteOf(spec: LoadedSpec, layer: string): CallSite | undefined {
  const { site } = (spec.model.options.layers as Readonly<Record<string, { site?: number }>>)[layer]!;
  return site === undefined ? undefined : spec.sites[site];
}

function editLayer(source: SourceFile, text: MagicString, { call: span }: CallSite, setting: Setting): void {
  const call = source
    .getDescendantsOfKind(SyntaxKind.CallExpression)
    .find((each) => isAt(each, span) && /\b(softmax|ffn)$/.test(builderName(source, each) ?? ""));
  const [argument] = call?.getArguments() ?? [];
  if (!call || !argument) throw new Refusal("its call cannot be found again", span);
  const options = literalOf(argument);
  if (!options) throw new Refusal("its options are not written in its call", spanOf(argument));
  const estimator = builderOf(setting.estimator);
  const selector = builderOf(setting.select);
  setBuilt(source, text, options, "estimator", estimator);
  setValue(text, options, "candidates", String(setting.candidates));
  // What is the default needs no words where there were none.
  const isDefault = keyOf(setting.select) === keyOf(DEFAULTS[builderName(source, call) === "ffn" ? "ffn" : "softmax"]);
  if (!isDefault || propertyOf(options, "select")) setBuilt(source, text, options, "select", selector);
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

interface Builder {
  readonly name: string;
  /** Values as they are written, by property; defaults are left out. */
  readonly options: Readonly<Record<string, string>>;
  /** What a property counts that is not written. */
  readonly defaults: Readonly<Record<string, string>>;
}

function builderOf(value: CheckedEstimator | CheckedSelector): Builder {
  const { kind, ...options } = value;
  const defaults: Record<string, unknown> =
    kind === "quantized"
      ? { group: 32, activations: "int8" }
      : kind === "lowRank"
        ? { basis: "weights", activations: "bits" in value && value.bits === 16 ? "f32" : "int8" }
        : {};
  const texts = (of: object) =>
    Object.fromEntries(Object.entries(of).map(([name, each]) => [name, JSON.stringify(each)]));
  const written = Object.fromEntries(Object.entries(options).filter(([name, each]) => defaults[name] !== each));
  return { name: kind, options: texts(written), defaults: texts(defaults) };
}

function callText(name: string, options: Readonly<Record<string, string>>): string {
  const properties = Object.entries(options).map(([property, value]) => `${property}: ${value}`);
  return properties.length === 0 ? `${name}()` : `${name}({ ${properties.join(", ")} })`;
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
  if (before?.name === builder && literal) {
    for (const [option, value] of Object.entries({ ...defaults, ...values })) {
      if (option in values || propertyOf(literal, option)) setValue(text, literal, option, value);
    }
    return;
  }
  const value = callText(localName(source, text, builder), values);
  if (before) text.overwrite(before.call.getStart(), before.call.getEnd(), value);
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
  if (!isSame) text.overwrite(before.getStart(), before.getEnd(), value);
}

/** A property of an object literal; refuses where a spread may say otherwise. */
function propertyOf(options: ObjectLiteralExpression, name: string): Node | undefined {
  const properties = options.getProperties();
  const at = properties.findIndex((each) => !Node.isSpreadAssignment(each) && nameOf(each) === name);
  const spread = properties.slice(at + 1).find((each) => Node.isSpreadAssignment(each) && mayHold(each, name));
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
    text.overwrite(options.getStart(), options.getEnd(), `{ ${name}: ${value} }`);
    return;
  }
  const whole = options.getSourceFile().getFullText();
  const before = whole.slice(0, last.getStart());
  const indent = /\n([ \t]*)$/.exec(before)?.[1];
  const comma = /^\s*,/.exec(whole.slice(last.getEnd()))?.[0];
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
