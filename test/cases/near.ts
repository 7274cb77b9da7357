// Numbers that floats may be off.

/** A number, and how far floats may be off it. */
export interface Near {
  readonly value: number;
  readonly slack: number;
}

/** A function that a device may compute with an error of some units in the last place, of a number that is off itself. */
export function through(f: (z: number) => number, { value, slack }: Near): Near {
  const result = f(value);
  const moved = slack > 0 ? [value - slack, value + slack].map((z) => Math.abs(f(z) - result)) : [0];
  return { value: result, slack: Math.max(...moved) + 2 ** -18 * Math.abs(result) + 2 ** -24 };
}
