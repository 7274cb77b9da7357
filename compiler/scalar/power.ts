// Powers: products where the exponent is a small whole number, which every backend computes alike.

import type { ts } from "ts-morph";
import type { ScalarExpression } from "../../runtime/scalar.ts";
import { toNumber } from "./expressions.ts";
import type { Lowering } from "./lower.ts";
import { call, constant, isAtom, known, number, operation, type Value, WRONG } from "./values.ts";

/** `base ** exponent`, of which at most one is known. */
export function power(lowering: Lowering, base: Value, exponent: Value, node: ts.Node): Value {
  const x = toNumber(lowering, base, node);
  if (!x) return WRONG;
  if (exponent.kind === "known" && typeof exponent.value === "number") {
    const { value } = exponent;
    if (value === 0) return known(1);
    if (Number.isInteger(value) && Math.abs(value) <= 4) {
      const product = repeated(lowering, x, Math.abs(value));
      return number(value > 0 ? product : operation("divide", constant(1), product));
    }
  }
  const y = toNumber(lowering, exponent, node);
  return y ? number(call("pow", x, y)) : WRONG;
}

function repeated(lowering: Lowering, x: ScalarExpression, times: number): ScalarExpression {
  if (times === 1) return x;
  const base = isAtom(x) ? x : lowering.local("base", x, false);
  const square = operation("multiply", base, base);
  if (times === 2) return square;
  if (times === 3) return operation("multiply", square, base);
  const squared = lowering.local("square", square, false);
  return operation("multiply", squared, squared);
}
