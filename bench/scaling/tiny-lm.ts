// Where the best rows really lie: tiny-lm on held-out text, with every weight exact.

import { fileURLToPath } from "node:url";
import { type ExactChoice, exactGroups, exactRows } from "../../examples/tiny-lm/exact.ts";
import { feedForward } from "../../examples/tiny-lm/feed-forward.ts";
import { heldOut } from "../../examples/tiny-lm/held-out.ts";
import { loadDecoder, loadWeights } from "../../examples/tiny-lm/load.ts";

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
  const decoder = await loadDecoder(folder, (layer, x) => {
    groups[layer]!.push(...choose(exactGroups(config, layers[layer]!), x, k));
    const output = new Float32Array(x.length);
    for (let at = 0; at < x.length; at += inputs) {
      output.set(feedForward(config, layers[layer]!, x.subarray(at, at + inputs)), at);
    }
    return output;
  });
  const { inputs: x } = await heldOut(folder, positions, decoder);
  return [
    { layer: "head", rows: config.vocab_size, k: 32, tokens: choose(exactRows(weights), x, 32) },
    ...groups.map((tokens, layer) => ({
      ...{ layer: `mlp${layer}`, rows: config.intermediate_size / config.ffn_group_size, k, tokens },
    })),
  ];
}
