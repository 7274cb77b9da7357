// Means with what they are worth.

export interface Mean {
  readonly mean: number;
  /** Half the width of its 95 % confidence interval. */
  readonly half: number;
}

/** The standard-normal quantile of 97.5 %. */
const Z = 1.959963984540054;

/** Of independent values, by the normal approximation. */
export function meanOf(values: ArrayLike<number>): Mean & { readonly variance: number } {
  const count = values.length;
  let [sum, squares] = [0, 0];
  for (let i = 0; i < count; i++) sum += values[i]!;
  const mean = sum / count;
  for (let i = 0; i < count; i++) squares += (values[i]! - mean) ** 2;
  return {
    mean,
    half: count > 1 ? (Z * Math.sqrt(squares / (count - 1))) / Math.sqrt(count) : 0,
    variance: squares / count,
  };
}
