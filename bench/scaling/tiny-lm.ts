// Where the best rows really lie: tiny-lm on held-out text, with every weight exact.

import { fileURLToPath } from "node:url";
import { createDecoder, exactFeedForwards } from "../../examples/tiny-lm/decoder.ts";
import { type ExactChoice, exactGroups, exactRows } from "../../examples/tiny-lm/exact.ts";
import { heldOut } from "../../examples/tiny-lm/held-out.ts";
import { loadWeights } from "../../examples/tiny-lm/load.ts";

/** What each token chooses in a layer: rows of the head, or groups of a feed-forward. */
export interface Chosen {
  readonly layer: string;
  readonly rows: number;
  readonly k: number;
  readonly tokens: readonly (readonly number[])[];
}

/** @param positions of held-out text, as `heldOut` takes them. */
export async function chosenByTinyLm(positions: number): Promise<Chosen[]> {
  const folder = fileURLToPath(new URL("../../examples/tiny-lm/", import.meta.url));
  const weights = await loadWeights(folder);
  const { config, layers } = weights;
  const { hidden_size: inputs, ffn_top_groups: k } = config;
  const choose = (choice: ExactChoice, x: Float32Array, k: number) =>
    Array.from({ length: x.length / inputs }, (_, token) =>
      choice(x.subarray(token * inputs, (token + 1) * inputs), k),
    );
  const groups = layers.map(() => [] as number[][]);
  const exact = exactFeedForwards(weights);
  const decoder = createDecoder(weights, (layer, x) => {
    groups[layer]!.push(...choose(exactGroups(config, layers[layer]!), x, k));
    return exact(layer, x);
  });
  const { inputs: x } = await heldOut(folder, positions, decoder);
  return [
    { layer: "head", rows: config.vocab_size, k: 32, tokens: choose(exactRows(weights), x, 32) },
    ...groups.map((tokens, layer) => ({
      ...{ layer: `mlp${layer}`, rows: config.intermediate_size / config.ffn_group_size, k, tokens },
    })),
  ];
}
