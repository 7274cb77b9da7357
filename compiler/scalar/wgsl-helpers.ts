// What WGSL lacks of JavaScript's numbers. Bits decide about NaN, because an implementation may assume that it does not
// occur, and an expression that is constant must not have it (W3C WGSL §15.7.2, §8.1.1).

import type { Dialect } from "./print.ts";

export const WGSL_HELPERS: Dialect["helpers"] = {
  infinity: {
    source: `fn infinity() -> f32 {
  var bits = 0x7f800000u;
  return bitcast<f32>(bits);
}`,
  },
  not_a_number: {
    source: `fn not_a_number() -> f32 {
  var bits = 0x7fc00000u;
  return bitcast<f32>(bits);
}`,
  },
  is_nan: {
    source: `fn is_nan(value: f32) -> bool {
  return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}`,
  },
  is_finite: {
    source: `fn is_finite(value: f32) -> bool {
  return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}`,
  },
  js_max: {
    uses: ["is_nan"],
    source: `// The larger number, as Math.max: NaN when either is.
fn js_max(a: f32, b: f32) -> f32 {
  if (is_nan(a)) {
    return a;
  }
  if (is_nan(b)) {
    return b;
  }
  return max(a, b);
}`,
  },
  js_min: {
    uses: ["is_nan"],
    source: `// The smaller number, as Math.min: NaN when either is.
fn js_min(a: f32, b: f32) -> f32 {
  if (is_nan(a)) {
    return a;
  }
  if (is_nan(b)) {
    return b;
  }
  return min(a, b);
}`,
  },
  js_round: {
    source: `// The nearest whole number, as Math.round: halves go up.
fn js_round(value: f32) -> f32 {
  let below = floor(value);
  return select(below, below + 1.0, value - below >= 0.5);
}`,
  },
  js_sign: {
    uses: ["is_nan"],
    source: `// 1, -1, 0 or NaN, as Math.sign.
fn js_sign(value: f32) -> f32 {
  if (is_nan(value)) {
    return value;
  }
  return sign(value);
}`,
  },
  js_remainder: {
    uses: ["is_nan", "is_finite", "not_a_number"],
    source: `// The remainder of a division, as JavaScript's %: exact, and with the sign of the left side.
fn js_remainder(left: f32, right: f32) -> f32 {
  let divisor = abs(right);
  if (is_nan(right) || !is_finite(left) || divisor < 1.1754944e-38) {
    return not_a_number();
  }
  if (!is_finite(right)) {
    return left;
  }
  // Long division in base two: every difference is of floats within a factor of two, and so is exact.
  var rest = abs(left);
  var part = divisor;
  while (part <= 0.5 * rest) {
    part *= 2.0;
  }
  while (part >= divisor) {
    if (rest >= part) {
      rest -= part;
    }
    part *= 0.5;
  }
  return select(rest, -rest, left < 0.0);
}`,
  },
  js_exp: {
    uses: ["is_nan"],
    source: `// The exponential, as Math.exp: devices make 0 or infinity of NaN.
fn js_exp(value: f32) -> f32 {
  if (is_nan(value)) {
    return value;
  }
  return exp(value);
}`,
  },
  js_expm1: {
    source: `// exp(value) - 1, as Math.expm1: a Taylor series where the difference would cancel.
fn js_expm1(value: f32) -> f32 {
  if (abs(value) >= 0.5) {
    return exp(value) - 1.0;
  }
  var sum = 1.0 / 362880.0;
  sum = sum * value + 1.0 / 40320.0;
  sum = sum * value + 1.0 / 5040.0;
  sum = sum * value + 1.0 / 720.0;
  sum = sum * value + 1.0 / 120.0;
  sum = sum * value + 1.0 / 24.0;
  sum = sum * value + 1.0 / 6.0;
  sum = sum * value + 0.5;
  return sum * value * value + value;
}`,
  },
  js_log: {
    uses: ["is_finite", "infinity", "not_a_number", "js_log1p"],
    source: `// The natural logarithm, as Math.log: near 1, where log has no relative accuracy, through log1p.
fn js_log(value: f32) -> f32 {
  if (value < 0.0) {
    return not_a_number();
  }
  if (abs(value) < 1.1754944e-38) {
    return -infinity();
  }
  if (!is_finite(value)) {
    return value;
  }
  if (abs(value - 1.0) < 0.4) {
    return js_log1p(value - 1.0);
  }
  return log(value);
}`,
  },
  js_log1p: {
    uses: ["is_finite", "infinity", "not_a_number"],
    source: `// log(1 + value), as Math.log1p: the series of the inverse hyperbolic tangent where the sum would lose digits.
fn js_log1p(value: f32) -> f32 {
  if (value <= -1.0) {
    return select(not_a_number(), -infinity(), value == -1.0);
  }
  if (!is_finite(value)) {
    return value;
  }
  if (abs(value) >= 0.4) {
    return log(1.0 + value);
  }
  let ratio = value / (2.0 + value);
  let square = ratio * ratio;
  var sum = 2.0 / 11.0;
  sum = sum * square + 2.0 / 9.0;
  sum = sum * square + 2.0 / 7.0;
  sum = sum * square + 2.0 / 5.0;
  sum = sum * square + 2.0 / 3.0;
  return ratio * 2.0 + ratio * square * sum;
}`,
  },
  js_log2: {
    uses: ["js_log"],
    source: `// The logarithm to base 2, as Math.log2: exact for powers of two.
fn js_log2(value: f32) -> f32 {
  let bits = bitcast<u32>(value);
  if (bits < 0x00800000u || bits >= 0x7f800000u) {
    return js_log(value);
  }
  let exponent = i32(bits >> 23u) - 127;
  let mantissa = bitcast<f32>((bits & 0x007fffffu) | 0x3f800000u);
  // From 3/4 to 3/2, so that the two parts never cancel.
  let isUpper = mantissa >= 1.5;
  return select(f32(exponent), f32(exponent + 1), isUpper) + js_log(select(mantissa, 0.5 * mantissa, isUpper)) * 1.442695;
}`,
  },
  js_log10: {
    uses: ["js_log"],
    source: `// The logarithm to base 10, as Math.log10.
fn js_log10(value: f32) -> f32 {
  return js_log(value) * 0.4342945;
}`,
  },
  js_tanh: {
    uses: ["js_expm1"],
    source: `// The hyperbolic tangent, as Math.tanh: 1 where exp would overflow.
fn js_tanh(value: f32) -> f32 {
  if (abs(value) > 9.5) {
    return select(-1.0, 1.0, value > 0.0);
  }
  let less = js_expm1(-2.0 * abs(value));
  let size = -less / (2.0 + less);
  return select(size, -size, value < 0.0);
}`,
  },
  js_sinh: {
    uses: ["js_expm1"],
    source: `// The hyperbolic sine, as Math.sinh: two factors where exp would overflow.
fn js_sinh(value: f32) -> f32 {
  let size = abs(value);
  var result = 0.0;
  if (size > 80.0) {
    let root = exp(0.5 * size);
    result = 0.5 * root * root;
  } else {
    let more = js_expm1(size);
    result = 0.5 * (more + more / (more + 1.0));
  }
  return select(result, -result, value < 0.0);
}`,
  },
  js_cosh: {
    uses: ["js_exp"],
    source: `// The hyperbolic cosine, as Math.cosh: two factors where exp would overflow.
fn js_cosh(value: f32) -> f32 {
  let root = js_exp(0.5 * abs(value));
  let rest = 0.5 / root;
  return 0.5 * root * root + rest / root;
}`,
  },
  js_asinh: {
    uses: ["js_log", "js_log1p"],
    source: `// The inverse hyperbolic sine, as Math.asinh.
fn js_asinh(value: f32) -> f32 {
  let size = abs(value);
  if (size > 1048576.0) {
    let result = js_log(size) + 0.6931472;
    return select(result, -result, value < 0.0);
  }
  let result = js_log1p(size + size * size / (1.0 + sqrt(1.0 + size * size)));
  return select(result, -result, value < 0.0);
}`,
  },
  js_acosh: {
    uses: ["js_log", "js_log1p", "not_a_number"],
    source: `// The inverse hyperbolic cosine, as Math.acosh.
fn js_acosh(value: f32) -> f32 {
  if (value < 1.0) {
    return not_a_number();
  }
  if (value > 1048576.0) {
    return js_log(value) + 0.6931472;
  }
  let more = value - 1.0;
  return js_log1p(more + sqrt(more * (value + 1.0)));
}`,
  },
  js_atanh: {
    uses: ["js_log1p", "infinity", "is_nan", "not_a_number"],
    source: `// The inverse hyperbolic tangent, as Math.atanh.
fn js_atanh(value: f32) -> f32 {
  let size = abs(value);
  if (size > 1.0 || is_nan(value)) {
    return not_a_number();
  }
  var result = infinity();
  if (size < 1.0) {
    result = 0.5 * js_log1p(2.0 * size / (1.0 - size));
  }
  return select(result, -result, value < 0.0);
}`,
  },
  js_cbrt: {
    uses: ["is_finite"],
    source: `// The cubic root, as Math.cbrt: a power, and a step of Newton's method.
fn js_cbrt(value: f32) -> f32 {
  let size = abs(value);
  if (!is_finite(value) || size < 1.1754944e-38) {
    return value;
  }
  var root = exp2(log2(size) / 3.0);
  root -= (root - size / (root * root)) / 3.0;
  return select(root, -root, value < 0.0);
}`,
  },
  js_hypot: {
    uses: ["is_nan", "is_finite", "infinity"],
    source: `// The length of a vector, as Math.hypot: infinite when a part is, and scaled so that no square overflows.
fn js_hypot(a: f32, b: f32) -> f32 {
  if (is_nan(a) || is_nan(b)) {
    let isInfinite = (!is_finite(a) && !is_nan(a)) || (!is_finite(b) && !is_nan(b));
    return select(a + b, infinity(), isInfinite);
  }
  let larger = max(abs(a), abs(b));
  if (!is_finite(larger) || larger < 1.1754944e-38) {
    return larger;
  }
  let ratio = min(abs(a), abs(b)) / larger;
  return larger * sqrt(1.0 + ratio * ratio);
}`,
  },
  js_pow: {
    uses: ["is_nan", "is_finite", "infinity", "not_a_number", "js_log2"],
    source: `// A power, as Math.pow.
fn js_pow(base: f32, exponent: f32) -> f32 {
  if (exponent == 0.0) {
    return 1.0;
  }
  let size = abs(base);
  let whole = floor(exponent) == exponent;
  if (is_nan(base) || is_nan(exponent) || (size == 1.0 && !is_finite(exponent)) || (base < 0.0 && is_finite(base) && !whole)) {
    return not_a_number();
  }
  let scaled = exponent * js_log2(size);
  var power = infinity();
  if (scaled < -150.0) {
    power = 0.0;
  } else if (scaled < 128.0) {
    power = exp2(scaled);
  }
  let odd = is_finite(exponent) && whole && exponent - 2.0 * floor(0.5 * exponent) == 1.0;
  return select(power, -power, base < 0.0 && odd);
}`,
  },
  js_sine: {
    uses: ["is_finite", "not_a_number"],
    source: `// sin(angle + quarters * pi / 2). The angle is reduced by multiples of pi / 2 in three parts (Cody and Waite), which
// is accurate up to about 10000; the polynomials are those of the Cephes library.
fn js_sine(angle: f32, quarters: f32) -> f32 {
  if (!is_finite(angle)) {
    return not_a_number();
  }
  let turns = floor(angle * 0.63661975 + 0.5);
  let near = angle - turns * 1.5703125 - turns * 0.0004837513 - turns * 7.54979e-8;
  let rest = clamp(near, -0.8, 0.8);
  let square = rest * rest;
  let quarter = turns + quarters - 4.0 * floor(0.25 * (turns + quarters));
  let sine = rest + rest * square * ((-0.00019515296 * square + 0.008332161) * square - 0.16666655);
  let cosine = 1.0 - 0.5 * square + square * square * ((0.000024433157 * square - 0.0013887316) * square + 0.041666646);
  let result = select(sine, cosine, quarter == 1.0 || quarter == 3.0);
  return select(result, -result, quarter >= 2.0);
}`,
  },
  js_sin: {
    uses: ["js_sine"],
    source: `fn js_sin(angle: f32) -> f32 {
  return js_sine(angle, 0.0);
}`,
  },
  js_cos: {
    uses: ["js_sine"],
    source: `fn js_cos(angle: f32) -> f32 {
  return js_sine(angle, 1.0);
}`,
  },
  js_tan: {
    uses: ["js_sine"],
    source: `fn js_tan(angle: f32) -> f32 {
  return js_sine(angle, 0.0) / js_sine(angle, 1.0);
}`,
  },
  js_arc: {
    source: `// The arc sine from 0 to 1/2, by the polynomial of the Cephes library.
fn js_arc(sine: f32) -> f32 {
  let square = sine * sine;
  var sum = 0.0421632 * square + 0.024181312;
  sum = sum * square + 0.045470025;
  sum = sum * square + 0.074953005;
  sum = sum * square + 0.16666752;
  return sum * square * sine + sine;
}`,
  },
  js_asin: {
    uses: ["js_arc", "not_a_number"],
    source: `// The arc sine, as Math.asin.
fn js_asin(value: f32) -> f32 {
  let size = abs(value);
  if (size > 1.0) {
    return not_a_number();
  }
  var result = 0.0;
  if (size > 0.5) {
    result = 1.5707964 - 2.0 * js_arc(sqrt(0.5 * (1.0 - size)));
  } else {
    result = js_arc(size);
  }
  return select(result, -result, value < 0.0);
}`,
  },
  js_acos: {
    uses: ["js_arc", "not_a_number"],
    source: `// The arc cosine, as Math.acos.
fn js_acos(value: f32) -> f32 {
  let size = abs(value);
  if (size > 1.0) {
    return not_a_number();
  }
  if (size > 0.5) {
    let arc = 2.0 * js_arc(sqrt(0.5 * (1.0 - size)));
    return select(arc, 3.1415927 - arc, value < 0.0);
  }
  let arc = js_arc(size);
  return 1.5707964 - select(arc, -arc, value < 0.0);
}`,
  },
  js_atan: {
    uses: ["is_finite", "is_nan"],
    source: `// The arc tangent, as Math.atan; reduced to an eighth of a turn, with the polynomial of the Cephes library.
fn js_atan(value: f32) -> f32 {
  let size = abs(value);
  var base = 0.0;
  var rest = size;
  if (size > 2.4142137) {
    base = 1.5707964;
    rest = select(0.0, -1.0 / size, is_finite(size));
  } else if (size > 0.41421357) {
    base = 0.7853982;
    rest = (size - 1.0) / (size + 1.0);
  }
  let square = rest * rest;
  var sum = 0.080537446 * square - 0.13877685;
  sum = sum * square + 0.1997771;
  sum = sum * square - 0.3333295;
  let result = base + (rest + sum * square * rest);
  return select(result, -result, value < 0.0);
}`,
  },
  js_atan2: {
    uses: ["is_nan", "is_finite", "js_atan"],
    source: `// The angle of a point, as Math.atan2; both zeros count as +0.
fn js_atan2(y: f32, x: f32) -> f32 {
  if (is_nan(x) || is_nan(y)) {
    return x + y;
  }
  let height = abs(y);
  let width = abs(x);
  var angle = 0.0;
  if (!is_finite(height) && !is_finite(width)) {
    angle = 0.7853982;
  } else if (height > width) {
    angle = 1.5707964 - js_atan(width / height);
  } else if (height > 0.0) {
    angle = js_atan(height / width);
  }
  if (x < 0.0) {
    angle = 3.1415927 - angle;
  }
  return select(angle, -angle, y < 0.0);
}`,
  },
};
