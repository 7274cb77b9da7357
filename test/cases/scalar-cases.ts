// Functions of one number that real models use, and one for everything that a kernel can compute.

/** Activations and transforms, by name. */
export const ACTIVATIONS: Readonly<Record<string, (z: number) => number>> = {
  identity: (z) => z,
  relu: (z) => Math.max(z, 0),
  "squared relu": (z) => Math.max(z, 0) ** 2,
  "leaky relu": (z) => (z > 0 ? z : 0.01 * z),
  relu6: (z) => Math.min(Math.max(z, 0), 6),
  silu: (z) => z / (1 + Math.exp(-z)),
  sigmoid: (z) => 1 / (1 + Math.exp(-z)),
  "gelu with tanh": (z) => 0.5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3))),
  "quick gelu": (z) => z / (1 + Math.exp(-1.702 * z)),
  softplus: (z) => Math.log(1 + Math.exp(z)),
  "stable softplus": (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))),
  "softcap 30": (z) => 30 * Math.tanh(z / 30),
  "hard swish": (z) => (z * Math.min(Math.max(z + 3, 0), 6)) / 6,
  mish: (z) => z * Math.tanh(Math.log1p(Math.exp(z))),
  elu: (z) => (z > 0 ? z : Math.expm1(z)),
  selu: (z) => 1.0507009873554805 * (z > 0 ? z : 1.6732632423543772 * (Math.exp(z) - 1)),
  clamp: (z) => Math.min(Math.max(z, -10), 10),
  "hard tanh by if": (z) => {
    if (z > 1) return 1;
    if (z < -1) return -1;
    return z;
  },
  softsign: (z) => z / (1 + Math.abs(z)),
  snake: (z) => z + Math.sin(z) ** 2,
  "exponential linear squash": (z) => {
    const size = Math.exp(-Math.abs(z));
    const share = size / (1 + size);
    return z < 0 ? share : 1 - share;
  },
};

/** Each of JavaScript's functions and operators, which a kernel has too. */
export const OPERATIONS: Readonly<Record<string, (z: number) => number>> = {
  abs: (z) => Math.abs(z),
  acos: (z) => Math.acos(z),
  acosh: (z) => Math.acosh(z),
  asin: (z) => Math.asin(z),
  asinh: (z) => Math.asinh(z),
  atan: (z) => Math.atan(z),
  "atan2 of z": (z) => Math.atan2(z, 2),
  "atan2 by z": (z) => Math.atan2(2, z),
  "atan2 of both": (z) => Math.atan2(z + 1, z - 1),
  atanh: (z) => Math.atanh(z),
  cbrt: (z) => Math.cbrt(z),
  ceil: (z) => Math.ceil(z),
  cos: (z) => Math.cos(z),
  cosh: (z) => Math.cosh(z),
  exp: (z) => Math.exp(z),
  expm1: (z) => Math.expm1(z),
  floor: (z) => Math.floor(z),
  hypot: (z) => Math.hypot(z, 3),
  "hypot of three": (z) => Math.hypot(z, 3, 2 * z),
  log: (z) => Math.log(z),
  log10: (z) => Math.log10(z),
  log1p: (z) => Math.log1p(z),
  log2: (z) => Math.log2(z),
  "max of three": (z) => Math.max(-z, 1, z),
  "min with infinity": (z) => Math.min(z, Number.POSITIVE_INFINITY),
  "max with NaN": (z) => Math.max(z, Number.NaN),
  "power of two": (z) => 2 ** z,
  "half power": (z) => z ** 0.5,
  "third power": (z) => z ** 3,
  "fourth power": (z) => (z + 1) ** 4,
  "fifth power": (z) => z ** 5,
  "inverse square": (z) => z ** -2,
  "minus fifth power": (z) => z ** -5,
  "power to itself": (z) => z ** z,
  "power to infinity": (z) => z ** Number.POSITIVE_INFINITY,
  "power to minus infinity": (z) => z ** Number.NEGATIVE_INFINITY,
  "one to a power": (z) => 1 ** z,
  "negative to a power": (z) => (-2) ** z,
  "rest by 3": (z) => z % 3,
  "rest by -0.7": (z) => z % -0.7,
  "rest of 100": (z) => 100 % z,
  "rest by infinity": (z) => z % Number.POSITIVE_INFINITY,
  round: (z) => Math.round(z),
  sign: (z) => Math.sign(z),
  sin: (z) => Math.sin(z),
  sinh: (z) => Math.sinh(z),
  sqrt: (z) => Math.sqrt(z),
  tan: (z) => Math.tan(z),
  tanh: (z) => Math.tanh(z),
  trunc: (z) => Math.trunc(z),
  "not a number": (z) => (Number.isNaN(z) ? -1 : z),
  finite: (z) => (Number.isFinite(z) ? z : 0),
  "several conditions": (z) => ((z > -1 && z < 1) || !(z <= 4) ? 2 * z : z - 0.5),
  "unlike itself": (z) => (z === 2 || z !== -3 ? z : 7),
  signs: (z) => -(-z) - -2 + +z * -(z - 1),
};

/** f32 numbers of every kind. */
export const NUMBERS: Float32Array = Float32Array.from([
  ...[0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  ...[
    1e-45,
    1e-40,
    2 ** -126,
    1e-20,
    1e-10,
    1e-5,
    1e-3,
    3.4028234663852886e38,
    1e38,
    1e30,
    1e20,
    2 ** 24,
    2 ** 23 + 1,
  ].flatMap((size) => [size, -size]),
  ...[
    0.49999997, 0.5, 1, 1.5, 2, 2.5, 3, 0.99999994, 1.0000001, 9.9, 15, 30, 80, 87, 88.5, 89, 90, 100, 104, 1000, 8e3,
  ].flatMap((size) => [size, -size]),
  ...Array.from({ length: 401 }, (_, i) => (i - 200) / 16 + 0.003),
  ...Array.from({ length: 120 }, (_, i) => (i % 2 ? -1 : 1) * 1.6 ** (i / 2 - 30)),
]);
