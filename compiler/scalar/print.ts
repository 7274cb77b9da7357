// Expression trees as source text; what differs between the targets is a dialect.

import type {
  ScalarCallee,
  ScalarComparison,
  ScalarCondition,
  ScalarExpression,
  ScalarFunction,
  ScalarOperator,
} from "../../runtime/scalar.ts";

export interface Dialect {
  /** First line of a function. */
  readonly head: (name: string) => string;
  readonly declareLocal: (name: string, value: string) => string;
  /** Numbers that have no literal. */
  readonly infinity: string;
  readonly nan: string;
  /** Stands behind every literal. */
  readonly suffix: string;
  /** What computes the functions of Math and a few more: built-in functions, and helpers. */
  readonly callees: Readonly<Record<ScalarCallee | "remainder" | "isNaN" | "isFinite", string>>;
  readonly choose: (condition: string, then: string, otherwise: string) => string;
  /** Functions that are not built into the target, each with those that it uses, by name. */
  readonly helpers: Readonly<Record<string, { readonly uses?: readonly string[]; readonly source: string }>>;
}

const OPERATORS: Readonly<Record<Exclude<ScalarOperator, "remainder">, { sign: string; strength: number }>> = {
  add: { sign: "+", strength: 2 },
  subtract: { sign: "-", strength: 2 },
  multiply: { sign: "*", strength: 3 },
  divide: { sign: "/", strength: 3 },
};
const UNARY = 4;
const ATOM = 5;

const COMPARISONS: Readonly<Record<Exclude<ScalarComparison, "notEqual">, string>> = {
  less: "<",
  lessOrEqual: "<=",
  greater: ">",
  greaterOrEqual: ">=",
  equal: "==",
};

/**
 * Functions as source text, with the helpers that they need before them, each once.
 * @param functions by the names that they get.
 * @returns ends without a newline.
 */
export function print(dialect: Dialect, functions: Readonly<Record<string, ScalarFunction>>): string {
  const helpers = new Set<string>();
  const need = (name: string) => {
    const helper = dialect.helpers[name];
    if (!helper || helpers.has(name)) return;
    for (const each of helper.uses ?? []) need(each);
    helpers.add(name);
  };
  const sources = Object.entries(functions).map(([name, scalar]) => printFunction(dialect, name, scalar, need));
  return [...[...helpers].map((name) => dialect.helpers[name]!.source), ...sources].join("\n\n");
}

function printFunction(
  dialect: Dialect,
  name: string,
  { locals, result }: ScalarFunction,
  need: (helper: string) => void,
): string {
  const printer = new Printer(dialect, need);
  const lines = [dialect.head(name)];
  for (const local of locals) lines.push(`  ${dialect.declareLocal(local.name, printer.number(local.value, 0))}`);
  let last = result;
  // Choices at the end read better as early returns.
  for (; last.op === "select"; last = last.else) {
    lines.push(`  if (${printer.condition(last.condition)}) {`, `    return ${printer.number(last.then, 0)};`, "  }");
  }
  lines.push(`  return ${printer.number(last, 0)};`, "}");
  return lines.join("\n");
}

class Printer {
  readonly #dialect: Dialect;
  readonly #need: (helper: string) => void;

  constructor(dialect: Dialect, need: (helper: string) => void) {
    this.#dialect = dialect;
    this.#need = need;
  }

  /** @param least how strongly the text must bind not to need parentheses. */
  number(expression: ScalarExpression, least: number): string {
    const { text, strength } = this.#number(expression);
    return strength < least ? `(${text})` : text;
  }

  #number(expression: ScalarExpression): { readonly text: string; readonly strength: number } {
    switch (expression.op) {
      case "input":
        return { text: "z", strength: ATOM };
      case "local":
        return { text: expression.name, strength: ATOM };
      case "constant":
        return this.#constant(Number(expression.value));
      case "negate":
        // Two signs in a row would be another operator.
        return { text: `-${this.number(expression.of, ATOM)}`, strength: UNARY };
      case "call":
        return this.#call(expression.function, expression.arguments);
      case "remainder":
        return this.#call("remainder", [expression.left, expression.right]);
      case "select": {
        const [then, otherwise] = [this.number(expression.then, 0), this.number(expression.else, 0)];
        return { text: this.#dialect.choose(this.condition(expression.condition), then, otherwise), strength: ATOM };
      }
      default: {
        const { sign, strength } = OPERATORS[expression.op];
        const left = this.number(expression.left, strength);
        const right = this.number(expression.right, strength + 1);
        return { text: `${left} ${sign} ${right}`, strength };
      }
    }
  }

  #call(callee: keyof Dialect["callees"], args: readonly ScalarExpression[]) {
    const name = this.#dialect.callees[callee];
    this.#need(name);
    return { text: `${name}(${args.map((each) => this.number(each, 0)).join(", ")})`, strength: ATOM };
  }

  #constant(value: number) {
    const { infinity, nan, suffix } = this.#dialect;
    const magnitude = Math.abs(value);
    if (!Number.isFinite(value)) {
      const name = Number.isNaN(value) ? nan : infinity;
      this.#need(name.replace("()", ""));
      return value < 0 ? { text: `-${name}`, strength: UNARY } : { text: name, strength: ATOM };
    }
    const text = `${floatText(magnitude)}${suffix}`;
    return value < 0 ? { text: `-${text}`, strength: UNARY } : { text, strength: ATOM };
  }

  condition(condition: ScalarCondition): string {
    switch (condition.op) {
      case "and":
      case "or": {
        const sign = condition.op === "and" ? "&&" : "||";
        // WGSL wants parentheses between && and ||, and readers like them.
        const side = (of: ScalarCondition) => {
          const isOther = (of.op === "and" || of.op === "or") && of.op !== condition.op;
          return isOther ? `(${this.condition(of)})` : this.condition(of);
        };
        return `${side(condition.left)} ${sign} ${side(condition.right)}`;
      }
      case "not":
        return `!(${this.condition(condition.of)})`;
      case "isNaN":
      case "isFinite":
        return this.#call(condition.op, [condition.of]).text;
      // WGSL's != is false when a side is NaN, as compiled by Tint.
      case "notEqual":
        return `!(${this.condition({ ...condition, op: "equal" })})`;
      default: {
        const sign = COMPARISONS[condition.op];
        return `${this.number(condition.left, 2)} ${sign} ${this.number(condition.right, 2)}`;
      }
    }
  }
}

/** The shortest decimal that is this f32 and no other, with a point or an exponent. */
export function floatText(value: number): string {
  for (let digits = 1; digits <= 9; digits++) {
    const text = String(Number(value.toPrecision(digits)));
    if (Math.fround(Number(text)) === value) return /[.e]/.test(text) ? text : `${text}.0`;
  }
  throw new Error(`${value} is not an f32`);
}
