// The group-sparse feed-forward of one layer: down(relu(gate) * up), of whose groups of neighbouring neurons only those
// with the largest gate pre-activations are kept. What is not kept, or is zero after the relu, is never computed.

import { project } from "./projection.ts";
import type { Config, LayerWeights } from "./weights.ts";

/**
 * @param input f32 [hidden_size], normed.
 * @returns f32 [hidden_size], before it is added to the residual stream.
 */
export function feedForward(config: Config, weights: LayerWeights, input: Float32Array): Float32Array {
  const hidden = config.hidden_size;
  const gate = project(weights.gate, input);
  const output = new Float64Array(hidden);
  for (const neuron of activeNeurons(gate, config.ffn_group_size, config.ffn_top_groups)) {
    const first = neuron * hidden;
    let up = 0;
    for (let i = 0; i < hidden; i++) up += weights.up[first + i]! * input[i]!;
    const activation = gate[neuron]! * up;
    for (let i = 0; i < hidden; i++) output[i]! += weights.down[first + i]! * activation;
  }
  return new Float32Array(output);
}

/**
 * The neurons that are not zero: positive ones of the `topGroups` groups with the largest pre-activation, and of groups
 * that tie with the last of those.
 * @param gate f32 [intermediate_size], before the relu.
 */
function activeNeurons(gate: Float32Array, groupSize: number, topGroups: number): number[] {
  const largest = new Float32Array(gate.length / groupSize).fill(-Infinity);
  for (let i = 0; i < gate.length; i++) {
    const group = Math.floor(i / groupSize);
    if (gate[i]! > largest[group]!) largest[group] = gate[i]!;
  }
  const cut = largest.toSorted().at(-topGroups)!;
  const active: number[] = [];
  for (let i = 0; i < gate.length; i++) {
    if (gate[i]! > 0 && largest[Math.floor(i / groupSize)]! >= cut) active.push(i);
  }
  return active;
}
