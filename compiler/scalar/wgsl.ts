// Functions of one number in WGSL. What WGSL leaves open is filled in, so that a function means what it means in
// JavaScript: NaN, infinities and values beyond the range of a built-in function.

import type { ScalarFunction } from "../../runtime/scalar.ts";
import { type Dialect, print } from "./print.ts";
import { WGSL_HELPERS } from "./wgsl-helpers.ts";

const WGSL: Dialect = {
  head: (name) => `fn ${name}(z: f32) -> f32 {`,
  declareLocal: (name, value) => `let ${name} = ${value};`,
  infinity: "infinity()",
  nan: "not_a_number()",
  suffix: "",
  choose: (condition, then, otherwise) => `select(${otherwise}, ${then}, ${condition})`,
  callees: {
    abs: "abs",
    acos: "js_acos",
    acosh: "js_acosh",
    asin: "js_asin",
    asinh: "js_asinh",
    atan: "js_atan",
    atan2: "js_atan2",
    atanh: "js_atanh",
    cbrt: "js_cbrt",
    ceil: "ceil",
    cos: "js_cos",
    cosh: "js_cosh",
    exp: "js_exp",
    expm1: "js_expm1",
    floor: "floor",
    hypot: "js_hypot",
    isFinite: "is_finite",
    isNaN: "is_nan",
    log: "js_log",
    log10: "js_log10",
    log1p: "js_log1p",
    log2: "js_log2",
    max: "js_max",
    min: "js_min",
    pow: "js_pow",
    remainder: "js_remainder",
    round: "js_round",
    sign: "js_sign",
    sin: "js_sin",
    sinh: "js_sinh",
    sqrt: "sqrt",
    tan: "js_tan",
    tanh: "js_tanh",
    trunc: "trunc",
  },
  helpers: WGSL_HELPERS,
};

/** A function by that name, with the helpers that it needs. */
export function scalarToWgsl(name: string, scalar: ScalarFunction): string {
  return scalarsToWgsl({ [name]: scalar });
}

/** Functions by their names, with the helpers that they need, each once. */
export function scalarsToWgsl(functions: Readonly<Record<string, ScalarFunction>>): string {
  return print(WGSL, functions);
}
