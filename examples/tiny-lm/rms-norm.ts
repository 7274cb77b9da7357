// Root mean square normalization (Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467).

/**
 * @param input f32 [n]; `weight` too.
 * @param epsilon added to the mean square.
 * @returns f32 [n]: `input / sqrt(mean(input^2) + epsilon) * weight`.
 */
export function rmsNorm(input: Float32Array, weight: Float32Array, epsilon: number): Float32Array {
  let squares = 0;
  for (const x of input) squares += x * x;
  const scale = 1 / Math.sqrt(squares / input.length + epsilon);
  return input.map((x, i) => x * scale * weight[i]!);
}
