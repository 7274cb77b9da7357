// Functions of one number in CUDA, whose mathematical functions follow C: they differ from JavaScript in NaN and halves.

import type { ScalarFunction } from "../../runtime/scalar.ts";
import { CUDA_HELPERS } from "./cuda-helpers.ts";
import { type Dialect, print } from "./print.ts";

const CUDA: Dialect = {
  head: (name) => `__device__ __forceinline__ float ${name}(float z) {`,
  declareLocal: (name, value) => `const float ${name} = ${value};`,
  infinity: "__uint_as_float(0x7f800000u)",
  nan: "__uint_as_float(0x7fc00000u)",
  suffix: "f",
  choose: (condition, then, otherwise) => `(${condition} ? ${then} : ${otherwise})`,
  callees: {
    abs: "fabsf",
    acos: "acosf",
    acosh: "acoshf",
    asin: "asinf",
    asinh: "asinhf",
    atan: "atanf",
    atan2: "atan2f",
    atanh: "atanhf",
    cbrt: "cbrtf",
    ceil: "ceilf",
    cos: "cosf",
    cosh: "coshf",
    exp: "expf",
    expm1: "expm1f",
    floor: "floorf",
    hypot: "hypotf",
    isFinite: "is_finite",
    isNaN: "is_nan",
    log: "logf",
    log10: "log10f",
    log1p: "log1pf",
    log2: "log2f",
    max: "js_max",
    min: "js_min",
    pow: "js_pow",
    remainder: "fmodf",
    round: "js_round",
    sign: "js_sign",
    sin: "sinf",
    sinh: "sinhf",
    sqrt: "sqrtf",
    tan: "tanf",
    tanh: "tanhf",
    trunc: "truncf",
  },
  helpers: CUDA_HELPERS,
};

/** A function by that name, with the helpers that it needs. */
export function scalarToCuda(name: string, scalar: ScalarFunction): string {
  return scalarsToCuda({ [name]: scalar });
}

/** Functions by their names, with the helpers that they need, each once. */
export function scalarsToCuda(functions: Readonly<Record<string, ScalarFunction>>): string {
  return print(CUDA, functions);
}
