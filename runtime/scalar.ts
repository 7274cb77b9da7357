// Functions of one number as data: an activation, or a transform of scores, as the plan carries it and every backend
// computes it. Here is what they mean.

/** A function of one number. */
export interface ScalarFunction {
  /** Values that the result is made of, in the order in which they are computed; each may use those before it. */
  readonly locals: readonly { readonly name: string; readonly value: ScalarExpression }[];
  readonly result: ScalarExpression;
}

export type ScalarExpression =
  | { readonly op: "input" }
  /** A number that f32 holds exactly; JSON has none for the three words. */
  | { readonly op: "constant"; readonly value: number | "Infinity" | "-Infinity" | "NaN" }
  | { readonly op: "local"; readonly name: string }
  | { readonly op: "negate"; readonly of: ScalarExpression }
  | { readonly op: ScalarOperator; readonly left: ScalarExpression; readonly right: ScalarExpression }
  | { readonly op: "call"; readonly function: ScalarCallee; readonly arguments: readonly ScalarExpression[] }
  | {
      readonly op: "select";
      readonly condition: ScalarCondition;
      readonly then: ScalarExpression;
      readonly else: ScalarExpression;
    };

/** `remainder` is JavaScript's `%`, whose sign is that of the left side. */
export type ScalarOperator = "add" | "subtract" | "multiply" | "divide" | "remainder";

export type ScalarCondition =
  | { readonly op: ScalarComparison; readonly left: ScalarExpression; readonly right: ScalarExpression }
  | { readonly op: "and" | "or"; readonly left: ScalarCondition; readonly right: ScalarCondition }
  | { readonly op: "not"; readonly of: ScalarCondition }
  | { readonly op: "isNaN" | "isFinite"; readonly of: ScalarExpression };

/** False when a side is NaN, but for `notEqual`. */
export type ScalarComparison = "less" | "lessOrEqual" | "greater" | "greaterOrEqual" | "equal" | "notEqual";

/** Named and defined as in JavaScript's Math; `max`, `min`, `hypot`, `pow` and `atan2` take two numbers, the others one. */
export type ScalarCallee = keyof typeof CALLEES;

const CALLEES = {
  abs: Math.abs,
  acos: Math.acos,
  acosh: Math.acosh,
  asin: Math.asin,
  asinh: Math.asinh,
  atan: Math.atan,
  atan2: Math.atan2,
  atanh: Math.atanh,
  cbrt: Math.cbrt,
  ceil: Math.ceil,
  cos: Math.cos,
  cosh: Math.cosh,
  exp: Math.exp,
  expm1: Math.expm1,
  floor: Math.floor,
  hypot: Math.hypot,
  log: Math.log,
  log10: Math.log10,
  log1p: Math.log1p,
  log2: Math.log2,
  max: Math.max,
  min: Math.min,
  pow: Math.pow,
  round: Math.round,
  sign: Math.sign,
  sin: Math.sin,
  sinh: Math.sinh,
  sqrt: Math.sqrt,
  tan: Math.tan,
  tanh: Math.tanh,
  trunc: Math.trunc,
} as const satisfies Record<string, (...numbers: number[]) => number>;

const OPERATORS: Readonly<Record<ScalarOperator, (left: number, right: number) => number>> = {
  add: (left, right) => left + right,
  subtract: (left, right) => left - right,
  multiply: (left, right) => left * right,
  divide: (left, right) => left / right,
  remainder: (left, right) => left % right,
};

const COMPARISONS: Readonly<Record<ScalarComparison, (left: number, right: number) => boolean>> = {
  less: (left, right) => left < right,
  lessOrEqual: (left, right) => left <= right,
  greater: (left, right) => left > right,
  greaterOrEqual: (left, right) => left >= right,
  equal: (left, right) => left === right,
  notEqual: (left, right) => left !== right,
};

/**
 * The function in float64, with the range of f32 at every step: what exceeds it is infinite and what lies below 2^-126 is
 * 0, as on the devices that compute it in f32. So `Math.log(1 + Math.exp(z))` is infinite from 89 on here as well.
 */
export function evaluateScalar({ locals, result }: ScalarFunction): (z: number) => number {
  const slots = new Map(locals.map(({ name }, slot) => [name, slot]));
  const steps = locals.map(({ value }) => compiled(value, slots));
  const last = compiled(result, slots);
  return (z) => {
    const values: Values = { input: inRange(z), locals: [] };
    for (const step of steps) values.locals.push(step(values));
    return last(values);
  };
}

interface Values {
  readonly input: number;
  readonly locals: number[];
}

type Slots = ReadonlyMap<string, number>;

function compiled(expression: ScalarExpression, slots: Slots): (values: Values) => number {
  switch (expression.op) {
    case "input":
      return ({ input }) => input;
    case "constant": {
      const value = Number(expression.value);
      return () => value;
    }
    case "local": {
      const slot = slots.get(expression.name)!;
      return ({ locals }) => locals[slot]!;
    }
    case "negate": {
      const of = compiled(expression.of, slots);
      return (values) => -of(values);
    }
    case "call": {
      const callee: (...numbers: number[]) => number = CALLEES[expression.function];
      const [first, second] = expression.arguments.map((each) => compiled(each, slots));
      return second
        ? (values) => inRange(callee(first!(values), second(values)))
        : (values) => inRange(callee(first!(values)));
    }
    case "select": {
      const condition = compiledCondition(expression.condition, slots);
      const [yes, no] = [compiled(expression.then, slots), compiled(expression.else, slots)];
      return (values) => (condition(values) ? yes(values) : no(values));
    }
    default: {
      const operator = OPERATORS[expression.op];
      const [left, right] = [compiled(expression.left, slots), compiled(expression.right, slots)];
      return (values) => inRange(operator(left(values), right(values)));
    }
  }
}

function compiledCondition(condition: ScalarCondition, slots: Slots): (values: Values) => boolean {
  switch (condition.op) {
    case "and":
    case "or": {
      const [left, right] = [compiledCondition(condition.left, slots), compiledCondition(condition.right, slots)];
      return condition.op === "and"
        ? (values) => left(values) && right(values)
        : (values) => left(values) || right(values);
    }
    case "not": {
      const of = compiledCondition(condition.of, slots);
      return (values) => !of(values);
    }
    case "isNaN":
    case "isFinite": {
      const test = Number[condition.op];
      const of = compiled(condition.of, slots);
      return (values) => test(of(values));
    }
    default: {
      const compare = COMPARISONS[condition.op];
      const [left, right] = [compiled(condition.left, slots), compiled(condition.right, slots)];
      return (values) => compare(left(values), right(values));
    }
  }
}

function inRange(value: number): number {
  if (Math.abs(value) < 2 ** -126) return 0;
  return Number.isFinite(Math.fround(value)) ? value : Math.fround(value);
}
