// A function of a spec becomes an expression tree: names become values, helpers are inlined, and what is known at compile
// time is computed. Everything that a kernel cannot do is reported at its place, all of it at once.

import { ts } from "ts-morph";
import type { Diagnostic, SourceSpan } from "../../runtime/errors.ts";
import type { ScalarExpression, ScalarFunction } from "../../runtime/scalar.ts";
import { type FunctionSyntax, findFunction } from "../load/functions.ts";
import { spanOfNode } from "../load/span.ts";
import { lowerExpression, toNumber } from "./expressions.ts";
import { parseFunction } from "./parse.ts";
import { type Refusal, refusalOf } from "./refusals.ts";
import { lowerBody } from "./statements.ts";
import { isAtom, known, number, type Scope, type Value, WRONG } from "./values.ts";

/** Expressions that are lowered for one function, those of inlined helpers each time. */
const MOST_EXPRESSIONS = 2048;
/** Expressions within expressions. */
const DEEPEST = 128;

export interface LoweredFunction {
  /** Undefined when there are problems. */
  readonly scalar?: ScalarFunction;
  /** HIRE-SPEC-020 and -021. */
  readonly problems: readonly Diagnostic[];
}

/**
 * @param value what the spec gives.
 * @param what the property, for messages, such as "activation".
 * @param functions those of the spec's text.
 * @param place of the property's value, for what has no place in the spec.
 */
export function lowerFunction(
  value: unknown,
  what: string,
  functions: readonly FunctionSyntax[],
  place: SourceSpan | undefined,
): LoweredFunction {
  const lowering = new Lowering(functions, place);
  const refuse = (message: string, fix: string): LoweredFunction => ({
    problems: [{ code: "HIRE-SPEC-021", message, fix, ...(place && { span: place }) }],
  });
  const example = "Give a function of one number, such as (z) => Math.max(z, 0)";
  if (typeof value !== "function") return refuse(`\`${what}\` must be a function of one number`, example);
  const source = lowering.sourceOf(value);
  if (!source) {
    return refuse(
      `\`${what}\` is a function whose text cannot be compiled`,
      `${example}; not one that is built in, bound, async, a generator or a class`,
    );
  }
  const { parameters } = source.syntax;
  if (parameters.length !== 1) {
    return refuse(`\`${what}\` takes ${parameters.length} parameters instead of one`, example);
  }
  const { name, initializer, dotDotDotToken } = parameters[0]!;
  if (!ts.isIdentifier(name) || initializer || dotDotDotToken) {
    return refuse(`\`${what}\` does not take one plain parameter`, example);
  }
  const result = lowering.result(source, [number({ op: "input" })]);
  const { problems } = lowering;
  return problems.length > 0 || !result ? { problems } : { scalar: lowering.finish(result), problems };
}

interface Source {
  readonly syntax: FunctionSyntax;
  readonly scope: Scope;
  /** Whether its nodes have places in the spec. */
  readonly hasPlaces: boolean;
}

/** One function on its way: what is wrong with it, and the locals that it has so far. */
export class Lowering {
  readonly problems: Diagnostic[] = [];
  readonly #functions: readonly FunctionSyntax[];
  /** Where to report what has no place of its own; undefined to use the places of nodes. */
  #place: SourceSpan | undefined;
  #hasPlaces = true;
  readonly #locals: { readonly name: string; readonly value: ScalarExpression; readonly isWritten: boolean }[] = [];
  readonly #active: FunctionSyntax[] = [];
  #expressions = 0;
  #depth = 0;

  constructor(functions: readonly FunctionSyntax[], place: SourceSpan | undefined) {
    this.#functions = functions;
    this.#place = place;
  }

  /** Whether what is lowered now has places in the spec. */
  get hasPlaces(): boolean {
    return this.#hasPlaces;
  }

  /** The text of a function value: from the spec, or as the function itself tells it. */
  sourceOf(value: object): Source | undefined {
    const found = findFunction(value, this.#functions);
    if (found) {
      return { syntax: found.syntax, scope: { names: new Map(), capture: found.capture }, hasPlaces: true };
    }
    const parsed = parseFunction(value);
    return parsed && { syntax: parsed.syntax, scope: { names: new Map(), capture: parsed.capture }, hasPlaces: false };
  }

  /** What the whole function returns, as an expression; undefined when something is wrong. */
  result(source: Source, args: readonly Value[]): ScalarExpression | undefined {
    return toNumber(this, this.inlined(source, args, source.syntax), source.syntax);
  }

  /** A call of a function with these arguments. */
  inlined({ syntax, scope, hasPlaces }: Source, args: readonly Value[], at: ts.Node): Value {
    if (this.#active.includes(syntax)) {
      return this.refuse(at, {
        why: "the function calls itself",
        fix: "Write the steps out: a kernel has no recursion",
      });
    }
    const before = { place: this.#place, hasPlaces: this.#hasPlaces };
    if (!hasPlaces && this.#hasPlaces && at !== syntax) this.#place = spanOfNode(at);
    this.#hasPlaces = hasPlaces;
    this.#active.push(syntax);
    const names = new Map<string, Value>();
    const isPlain = syntax.parameters.every((parameter, i) => {
      const { name, initializer, dotDotDotToken } = parameter;
      if (!ts.isIdentifier(name) || initializer || dotDotDotToken) {
        this.refuse(parameter, {
          why: "it is not a plain parameter",
          fix: "Give each parameter a name, without a default, a pattern or ...",
        });
        return false;
      }
      names.set(name.text, args[i] ?? known(undefined));
      return true;
    });
    const inner: Scope = { names, outer: scope, capture: scope.capture };
    const value = isPlain ? lowerBody(this, syntax, inner) : WRONG;
    this.#active.pop();
    this.#place = before.place;
    this.#hasPlaces = before.hasPlaces;
    return value;
  }

  /** Calls `lower` unless there has been too much of it. */
  counted(node: ts.Node, lower: () => Value): Value {
    if (this.#expressions > MOST_EXPRESSIONS) return WRONG;
    this.#expressions++;
    if (this.#expressions > MOST_EXPRESSIONS || this.#depth >= DEEPEST) {
      // Whatever else is wrong will show when this is mended.
      const isDeep = this.#expressions <= MOST_EXPRESSIONS;
      this.#expressions = MOST_EXPRESSIONS + 1;
      return this.refuse(node, {
        why: isDeep
          ? `the function nests more than ${DEEPEST} expressions`
          : `the function has more than ${MOST_EXPRESSIONS} expressions, those of the functions that it calls included`,
        fix: "Make it simpler: it runs for every score",
      });
    }
    this.#depth++;
    const value = lower();
    this.#depth--;
    return value;
  }

  /** A value under a name that the kernel will have. */
  local(name: string, tree: ScalarExpression, isWritten: boolean): ScalarExpression {
    if (isAtom(tree)) return tree;
    // A number behind the name keeps it apart from every word of both languages and from other locals.
    const local = `${name.replace(/[^A-Za-z0-9]/g, "").replace(/^[^A-Za-z]*/, "") || "value"}_${this.#locals.length + 1}`;
    this.#locals.push({ name: local, value: tree, isWritten });
    return { op: "local", name: local };
  }

  refuse(node: ts.Node, { why, fix }: Refusal = refusalOf(node)): Value {
    return this.report(`A kernel cannot compute \`${shortText(node)}\`: ${why}`, fix, node);
  }

  report(message: string, fix: string, node: ts.Node): Value {
    const span = this.#hasPlaces ? spanOfNode(node) : this.#place;
    this.problems.push({ code: "HIRE-SPEC-020", message, fix, ...(span && { span }) });
    return WRONG;
  }

  /** The function, without locals that nothing uses or that are used once and have no name in the spec. */
  finish(result: ScalarExpression): ScalarFunction {
    const used = new Map<string, number>();
    const count = (tree: unknown): void => {
      if (typeof tree !== "object" || tree === null) return;
      const { op, name } = tree as { op?: string; name?: string };
      if (op === "local") used.set(name!, (used.get(name!) ?? 0) + 1);
      else for (const part of Object.values(tree)) count(part);
    };
    count(result);
    for (const { name, value } of [...this.#locals].reverse()) if (used.has(name)) count(value);
    const inline = new Map<string, ScalarExpression>();
    const settle = <Tree>(tree: Tree): Tree => {
      if (typeof tree !== "object" || tree === null) return tree;
      if (Array.isArray(tree)) return tree.map(settle) as Tree;
      const { op, name } = tree as { op?: string; name?: string };
      if (op === "local") return (inline.get(name!) ?? tree) as Tree;
      return Object.fromEntries(Object.entries(tree).map(([key, part]) => [key, settle(part)])) as Tree;
    };
    const locals: { name: string; value: ScalarExpression }[] = [];
    for (const { name, value, isWritten } of this.#locals) {
      if (!used.has(name)) continue;
      if (!isWritten && used.get(name) === 1) inline.set(name, settle(value));
      else locals.push({ name, value: settle(value) });
    }
    return { locals, result: settle(result) };
  }

  expression(node: ts.Expression, scope: Scope): Value {
    return this.counted(node, () => lowerExpression(this, node, scope));
  }
}

/** What a message quotes of a node: one line, not too long. */
export function shortText(node: ts.Node): string {
  const text = node.getText().replace(/\s+/g, " ");
  return text.length > 40 ? `${text.slice(0, 37)}…` : text;
}
