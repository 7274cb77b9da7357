// Recorded inputs of a layer: what its estimator is made to be right about.

/** f32 `[tokens, inputs]`, all finite. */
export type Activations = Float32Array;

/** The mean square of each input, f32 `[inputs]`: how dear an error in its column is. */
export function meanSquares(x: Activations, inputs: number): Float32Array {
  const sums = new Float64Array(inputs);
  for (let i = 0; i < x.length; i++) sums[i % inputs]! += x[i]! * x[i]!;
  return Float32Array.from(sums, (sum) => (sum * inputs) / x.length);
}
