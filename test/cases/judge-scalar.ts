// Whether a backend's functions of one number are right.

import { lowerFunction } from "../../compiler/scalar/lower.ts";
import { evaluateScalar, type ScalarFunction } from "../../runtime/scalar.ts";
import { ACTIVATIONS, NUMBERS, OPERATIONS } from "./scalar-cases.ts";

export interface NamedFunction {
  readonly name: string;
  /** What it is called in a kernel. */
  readonly id: string;
  readonly scalar: ScalarFunction;
}

/** Every function of the table, as backends get them. */
export const FUNCTIONS: readonly NamedFunction[] = Object.entries({ ...ACTIVATIONS, ...OPERATIONS }).map(
  ([name, written], i) => ({ name, id: `function_${i}`, scalar: lowerFunction(written, name, [], undefined).scalar! }),
);

/**
 * What is wrong with what a function made of `NUMBERS`, in words.
 * @param flushes whether subnormal numbers count as 0; where they are kept, a step at 0 parts them from it.
 */
export function wrongScalars({ name, scalar }: NamedFunction, results: Float32Array, flushes: boolean): string[] {
  const evaluate = evaluateScalar(scalar);
  // WGSL promises nothing of them beyond a turn (§15.7.4); some hundred are fine.
  const most = ["sin", "cos", "tan", "snake"].includes(name) ? 1e3 : Number.POSITIVE_INFINITY;
  return [...NUMBERS].flatMap((z, n) => {
    const [found, wanted] = [results[n]!, evaluate(z)];
    const slack = 2 ** -15 * Math.abs(wanted) + 2 ** -22 * Math.min(Math.max(1, Math.abs(z)), 64);
    const isRight = Object.is(found, wanted) || found === wanted || Math.abs(found - wanted) <= slack;
    const isOpen = (Math.abs(z) > most && Number.isFinite(z)) || (!flushes && z !== 0 && Math.abs(z) < 2 ** -126);
    return isRight || isOpen ? [] : [`f(${z}) is ${found} instead of ${wanted}`];
  });
}
