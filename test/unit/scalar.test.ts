// Functions of a spec, lowered to expression trees, mean what JavaScript computes.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lowerFunction } from "../../compiler/scalar/lower.ts";
import { evaluateScalar } from "../../runtime/scalar.ts";
import { RUNS, SEED } from "../cases/runs.ts";
import { ACTIVATIONS, NUMBERS, OPERATIONS } from "../cases/scalar-cases.ts";

/** The function as backends have it. */
function lowered(written: (z: number) => number): (z: number) => number {
  const { scalar, problems } = lowerFunction(written, "activation", [], undefined);
  expect(problems).toEqual([]);
  return evaluateScalar(scalar!);
}

/** Equal but for a share, and for what constants lose in f32. */
function isNear(found: number, wanted: number, loss = 0): boolean {
  return Object.is(found, wanted) || found === wanted || Math.abs(found - wanted) <= 1e-6 * Math.abs(wanted) + loss;
}

/** As wide as f32: what is larger is infinite, what is smaller 0. */
function inRange(value: number): number {
  if (Math.abs(value) < 2 ** -126) return 0;
  return Number.isFinite(Math.fround(value)) ? value : Math.fround(value);
}

describe("of numbers on which no step but the last leaves the range of f32, each function makes what JavaScript makes", () => {
  const numbers = [...NUMBERS].filter((z) => z === 0 || Number.isNaN(z) || (Math.abs(z) > 1e-6 && Math.abs(z) <= 50));
  test.each(Object.entries({ ...ACTIVATIONS, ...OPERATIONS }))("%s", (_, written) => {
    const evaluate = lowered(written);
    const wrong = numbers.filter((z) => !isNear(evaluate(z), inRange(written(z)), 2e-6));
    expect(wrong.map((z) => `f(${z}) is ${evaluate(z)} instead of ${written(z)}`)).toEqual([]);
  });
});

/** An expression as text, and what it is of a number when every step is as wide as f32. */
interface Expression {
  readonly text: string;
  readonly of: (z: number) => number;
  /** Known when it is compiled. */
  readonly isConstant: boolean;
}

const CALLS = ["abs", "ceil", "cos", "exp", "floor", "round", "sign", "sin", "sqrt", "tanh", "trunc"] as const;
const OPERATORS: Readonly<Record<string, (a: number, b: number) => number>> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  "%": (a, b) => a % b,
};
const COMPARISONS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  "<": (a, b) => a < b,
  ">=": (a, b) => a >= b,
  "===": (a, b) => a === b,
  "!==": (a, b) => a !== b,
};

/** One step: constants in float64, what depends on the number in the range of f32, of constants that f32 has. */
function step(text: string, parts: readonly Expression[], compute: (...values: number[]) => number): Expression {
  const isConstant = parts.every((part) => part.isConstant);
  const of = (z: number) => {
    const values = parts.map((part) =>
      part.isConstant && !isConstant ? inRange(Math.fround(part.of(z))) : part.of(z),
    );
    return isConstant ? compute(...values) : inRange(compute(...values));
  };
  return { text, of, isConstant };
}

const { expression } = fc.letrec<{ expression: Expression }>((tie) => ({
  expression: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constant({ text: "z", of: (z: number) => inRange(z), isConstant: false }),
    fc
      .constantFrom(0, 1, 2, 3, 0.5, -1, 0.125, 7)
      .map((value) => ({ text: `${value}`, of: () => value, isConstant: true })),
    tie("expression").map((a) => step(`-(${a.text})`, [a], (value) => -value)),
    fc
      .tuple(fc.constantFrom(...Object.keys(OPERATORS)), tie("expression"), tie("expression"))
      .map(([name, a, b]) => step(`(${a.text}) ${name} (${b.text})`, [a, b], OPERATORS[name]!)),
    fc
      .tuple(fc.constantFrom(...CALLS), tie("expression"))
      .map(([name, a]) => step(`Math.${name}(${a.text})`, [a], Math[name])),
    fc
      .tuple(fc.constantFrom("max", "min"), tie("expression"), tie("expression"))
      .map(([name, a, b]) => step(`Math.${name}(${a.text}, ${b.text})`, [a, b], Math[name as "max"])),
    fc
      .tuple(fc.constantFrom(...Object.keys(COMPARISONS)), fc.array(tie("expression"), { minLength: 4, maxLength: 4 }))
      .map(([name, [a, b, c, d]]) =>
        step(`(${a!.text}) ${name} (${b!.text}) ? ${c!.text} : ${d!.text}`, [a!, b!, c!, d!], (...values) =>
          COMPARISONS[name]!(values[0]!, values[1]!) ? values[2]! : values[3]!,
        ),
      ),
  ),
}));

test("any expression means what JavaScript makes of its text", () => {
  fc.assert(
    fc.property(expression, ({ text, of, isConstant }) => {
      const written = new Function(`return (z) => ${text};`)() as (z: number) => number;
      const evaluate = lowered(written);
      for (const z of [-3.5, -1, -0.3, 0, 0.7, 1, 2.25, 40]) {
        const wanted = isConstant ? inRange(Math.fround(of(z))) : of(z);
        expect(isNear(evaluate(z), wanted), `f(${z}) is ${evaluate(z)} instead of ${wanted}`).toBe(true);
      }
    }),
    { numRuns: 500 * RUNS, seed: SEED },
  );
});
