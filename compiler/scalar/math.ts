// The functions of JavaScript that kernels have too, found by identity, whatever name they have in the spec.

import type { ScalarCallee } from "../../runtime/scalar.ts";

const ONE_NUMBER = [
  "abs",
  "acos",
  "acosh",
  "asin",
  "asinh",
  "atan",
  "atanh",
  "cbrt",
  "ceil",
  "cos",
  "cosh",
  "exp",
  "expm1",
  "floor",
  "log",
  "log10",
  "log1p",
  "log2",
  "round",
  "sign",
  "sin",
  "sinh",
  "sqrt",
  "tan",
  "tanh",
  "trunc",
] as const satisfies readonly ScalarCallee[];
const TWO_NUMBERS = ["atan2", "pow"] as const satisfies readonly ScalarCallee[];
const ANY_NUMBERS = ["hypot", "max", "min"] as const satisfies readonly ScalarCallee[];

export interface MathFunction {
  readonly callee: ScalarCallee;
  readonly takes: 1 | 2 | "any";
}

export const MATH: ReadonlyMap<unknown, MathFunction> = new Map([
  ...ONE_NUMBER.map((callee) => [Math[callee], { callee, takes: 1 }] as const),
  ...TWO_NUMBERS.map((callee) => [Math[callee], { callee, takes: 2 }] as const),
  ...ANY_NUMBERS.map((callee) => [Math[callee], { callee, takes: "any" }] as const),
] as readonly (readonly [unknown, MathFunction])[]);

/** Functions that give an f32 back as it is. */
export const IDENTITIES: ReadonlySet<unknown> = new Set([Number, Math.fround]);

const { isNaN: isNaNOfAny, isFinite: isFiniteOfAny } = globalThis;

/** Tests of a number; the names of the global and of Number's are different functions. */
export const TESTS: ReadonlyMap<unknown, "isNaN" | "isFinite"> = new Map<unknown, "isNaN" | "isFinite">([
  [Number.isNaN, "isNaN"],
  [isNaNOfAny, "isNaN"],
  [Number.isFinite, "isFinite"],
  [isFiniteOfAny, "isFinite"],
]);

/** What a function's text may name where nothing else of its surroundings is known. */
export const GLOBALS: Readonly<Record<string, unknown>> = {
  Math,
  Number,
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  undefined,
  isNaN: isNaNOfAny,
  isFinite: isFiniteOfAny,
};
