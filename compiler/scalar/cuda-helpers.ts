// What CUDA lacks of JavaScript's numbers.

import type { Dialect } from "./print.ts";

export const CUDA_HELPERS: Dialect["helpers"] = {
  is_nan: {
    source: `__device__ __forceinline__ bool is_nan(float value) {
  return (__float_as_uint(value) & 0x7fffffffu) > 0x7f800000u;
}`,
  },
  is_finite: {
    source: `__device__ __forceinline__ bool is_finite(float value) {
  return (__float_as_uint(value) & 0x7f800000u) != 0x7f800000u;
}`,
  },
  js_max: {
    uses: ["is_nan"],
    source: `// The larger number, as Math.max: NaN when either is, where fmaxf would drop it.
__device__ __forceinline__ float js_max(float a, float b) {
  return is_nan(a) || is_nan(b) ? a + b : fmaxf(a, b);
}`,
  },
  js_min: {
    uses: ["is_nan"],
    source: `// The smaller number, as Math.min: NaN when either is, where fminf would drop it.
__device__ __forceinline__ float js_min(float a, float b) {
  return is_nan(a) || is_nan(b) ? a + b : fminf(a, b);
}`,
  },
  js_round: {
    source: `// The nearest whole number, as Math.round: halves go up.
__device__ __forceinline__ float js_round(float value) {
  const float below = floorf(value);
  return value - below >= 0.5f ? below + 1.0f : below;
}`,
  },
  js_sign: {
    source: `// 1, -1, 0 or NaN, as Math.sign.
__device__ __forceinline__ float js_sign(float value) {
  return value > 0.0f ? 1.0f : value < 0.0f ? -1.0f : value;
}`,
  },
  js_pow: {
    uses: ["is_nan", "is_finite"],
    source: `// A power, as Math.pow: NaN where powf gives 1, for an exponent of NaN and for 1 or -1 to an infinite one.
__device__ __forceinline__ float js_pow(float base, float exponent) {
  if (is_nan(exponent)) {
    return exponent;
  }
  if (fabsf(base) == 1.0f && !is_finite(exponent)) {
    return exponent - exponent;
  }
  return powf(base, exponent);
}`,
  },
};
